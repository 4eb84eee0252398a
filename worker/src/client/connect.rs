//! Connections and their streams.

use std::io;
use std::time::Duration;

use lockstep_proto::message::{FromWorker, Hello, Ready, Up};
use lockstep_proto::settings::{FRAME, KEEPALIVE, MESSAGE_LIMIT, TRACEPARENT, WINDOW};
use lockstep_proto::wire::cluster_client::ClusterClient;
use lockstep_proto::{Malformed, PROTOCOL, Session, tensors, wire};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};

use super::dial::{Dialer, Seen, Trouble, Trust};
use super::join::Joined;
use super::served::RowsClient;
use super::{Heartbeat, Options};
use crate::task::Unfit;
use crate::weights::Misfit;

/// Why a session ended that may be followed by another.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// Nobody answers there.
    #[error("{0}")]
    Connect(String),
    /// The door: no connection, or none that is safe.
    #[error("{0}")]
    Door(Trouble),
    /// A stream broke.
    #[error("the connection broke: {}", .0.message())]
    Broken(#[from] Box<tonic::Status>),
    /// The other side closed a stream.
    #[error("the coordinator closed the connection")]
    Closed,
    /// Come again.
    #[error("{0}")]
    Refused(String),
    /// It does not speak of this model.
    #[error("{0}")]
    Misfit(#[from] Misfit),
    /// It makes no sense.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// The run or its rows make no sense.
    #[error("{0}")]
    Unfit(#[from] Unfit),
    /// Its rows are not what it said.
    #[error("the coordinator's rows: {0}")]
    Rows(String),
    /// The compute thread is gone.
    #[error("the compute thread has ended")]
    Compute,
    /// The system gives no threads.
    #[error("{0}")]
    System(io::Error),
}

impl Lost {
    pub(crate) fn system(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<tonic::Status> for Lost {
    fn from(status: tonic::Status) -> Self {
        Self::Broken(Box::new(status))
    }
}

/// A connection of its own, with the transport's settings.
pub(super) async fn channel(coordinator: &str, trust: &Trust, seen: &Seen) -> Result<Channel, Lost> {
    let failed = |error: tonic::transport::Error| {
        // The interesting part is what lies below "transport error".
        let mut cause: &dyn std::error::Error = &error;
        loop {
            if let Some(trouble) = cause.downcast_ref::<Trouble>() {
                return Lost::Door(trouble.clone());
            }
            let Some(source) = cause.source() else { return Lost::Connect(cause.to_string()) };
            cause = source;
        }
    };
    let dialer = Dialer { coordinator: coordinator.to_owned(), trust: trust.clone(), seen: seen.clone() };
    Endpoint::from_shared(format!("http://{coordinator}"))
        .map_err(failed)?
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .http2_keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1)
        .keep_alive_while_idle(true)
        .connect_with_connector(dialer)
        .await
        .map_err(failed)
}

/// The control connection, on which nothing has been said but Hello.
pub(super) struct Connection {
    options: Options,
    pub(super) control: Streaming<wire::ToWorker>,
    pub(super) out: mpsc::UnboundedSender<wire::FromWorker>,
    heartbeat: Option<Heartbeat>,
    traceparent: Option<String>,
}

/// All streams of a session.
pub(super) struct Streams {
    pub(super) control: Streaming<wire::ToWorker>,
    pub(super) tensors: tensors::Incoming<wire::TensorsDown>,
    pub(super) control_out: mpsc::UnboundedSender<wire::FromWorker>,
    pub(super) tensors_out: mpsc::UnboundedSender<wire::TensorsUp>,
    pub(super) heartbeat: Option<Heartbeat>,
}

/// The processor's model, where the system tells it.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    line.map(|(_, model)| model.trim().chars().take(100).collect()).unwrap_or_default()
}

/// Connects and says Hello.
pub(super) async fn control(options: &Options) -> Result<Connection, Lost> {
    let seen = Seen::default();
    let client = ClusterClient::new(channel(&options.coordinator, &options.trust, &seen).await?);
    let mut client = client.max_decoding_message_size(MESSAGE_LIMIT).max_encoding_message_size(MESSAGE_LIMIT);
    let (out, outgoing) = mpsc::unbounded_channel::<wire::FromWorker>();
    let hello = FromWorker::Hello(Hello {
        protocol: PROTOCOL,
        name: options.name.clone(),
        host: options.host.clone(),
        pid: std::process::id(),
        numerics: lockstep_core::numerics::name(),
        cpu: processor(),
    });
    out.send(hello.into()).map_err(|_| Lost::Closed)?;
    let control = client.control(UnboundedReceiverStream::new(outgoing)).await;
    let control = control.map_err(|status| match (seen.get(), status.code()) {
        (Some(trouble), _) => Lost::Door(trouble.clone()),
        (None, Code::PermissionDenied) => Lost::Door(Trouble::Refused(status.message().to_owned())),
        (None, _) => status.into(),
    })?;
    let traceparent = control.metadata().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    let traceparent = traceparent.map(str::to_owned);
    let control = control.into_inner();
    Ok(Connection { options: options.clone(), control, out, heartbeat: None, traceparent })
}

impl Connection {
    /// What the coordinator says that this worker's spans belong to.
    pub(super) fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    pub(super) fn start_heartbeat(&mut self, every: Duration) {
        self.heartbeat = Some(Heartbeat::start(every, self.out.clone()));
    }

    /// For rows, a connection of its own.
    pub(super) async fn rows(&self, session: Session) -> Result<RowsClient, Lost> {
        Ok(RowsClient::new(
            channel(&self.options.coordinator, &self.options.trust, &Seen::default()).await?,
            session,
        ))
    }

    /// Opens the tensor connection and tells the coordinator that this worker is ready.
    pub(super) async fn open_tensors(self, joined: &Joined) -> Result<Streams, Lost> {
        let mut channel = channel(&self.options.coordinator, &self.options.trust, &Seen::default()).await?;
        let (tensors_out, outgoing) = mpsc::unbounded_channel::<wire::TensorsUp>();
        let session: Session = joined.session;
        tensors_out.send(Up::Open(session).into()).map_err(|_| Lost::Closed)?;
        let tensors = tensors::open(&mut channel, UnboundedReceiverStream::new(outgoing)).await?;
        let threads = u32::try_from(self.options.threads).unwrap_or(u32::MAX);
        let ready = FromWorker::Ready(Ready { fingerprint: joined.fingerprint, threads });
        self.out.send(ready.into()).map_err(|_| Lost::Closed)?;
        Ok(Streams {
            control: self.control,
            tensors,
            control_out: self.out,
            tensors_out,
            heartbeat: self.heartbeat,
        })
    }
}
