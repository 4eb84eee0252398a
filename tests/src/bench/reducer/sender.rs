//! A worker that computes nothing: it says what one says, and its gradient is always the same.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use lockstep_core::chunks::Chunks;
use lockstep_core::gradient::Summary;
use lockstep_core::run::spec::Wire;
use lockstep_core::tree::Node;
use lockstep_core::{numerics, wire as values};
use lockstep_proto::message::{Assign, Down, FromWorker, Gradient, Hello, Outcome, Ready, ToWorker, Up};
use lockstep_proto::settings::{FRAME, WINDOW};
use lockstep_proto::tls::door;
use lockstep_proto::wire::cluster_client::ClusterClient;
use lockstep_proto::{PROTOCOL, tensors, wire};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, mpsc};
use tokio_rustls::client::TlsStream;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::cluster::knock;

/// How fast a sender takes weights.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    AtOnce,
    /// Waits so long after each chunk.
    Every(Duration),
}

/// What all senders have.
#[derive(Debug)]
pub(super) struct Shared {
    chunks: Chunks,
    payloads: Vec<Bytes>,
    /// All have connected.
    together: Barrier,
    /// With a worker's certificate, for TLS.
    certs: Option<PathBuf>,
}

impl Shared {
    pub(super) fn new(
        chunks: Chunks,
        encoding: Wire,
        gradient: &[f32],
        senders: u32,
        certs: Option<PathBuf>,
    ) -> Arc<Self> {
        let payload = |range: std::ops::Range<usize>| {
            let mut bytes = Vec::new();
            values::encode(&gradient[range], encoding, &mut bytes);
            Bytes::from(bytes)
        };
        let payloads = chunks.iter().map(payload).collect();
        Arc::new(Self { chunks, payloads, together: Barrier::new(senders as usize), certs })
    }

    /// Of one gradient.
    pub(super) fn bytes(&self) -> usize {
        self.payloads.iter().map(Bytes::len).sum()
    }
}

pub(super) struct Sender {
    number: u32,
    pace: Pace,
    shared: Arc<Shared>,
    assigned: Option<Assign>,
    /// The newest W that is whole.
    whole: Option<u64>,
    /// The W that comes, and how many of its chunks are here.
    coming: (u64, usize),
    granted: (u64, u32),
    window: u32,
    /// Of each node, in the step that is assigned.
    sent: BTreeMap<Node, u32>,
}

impl Sender {
    pub(super) fn new(number: u32, pace: Pace, shared: Arc<Shared>) -> Self {
        let (assigned, whole) = (None, None);
        Self {
            number,
            pace,
            shared,
            assigned,
            whole,
            coming: (0, 0),
            granted: (0, 0),
            window: 0,
            sent: BTreeMap::new(),
        }
    }

    /// Until the run has ended; `began` hears of each step that can be computed.
    pub(super) async fn run(
        mut self,
        address: SocketAddr,
        began: Option<mpsc::UnboundedSender<u64>>,
    ) -> Result<()> {
        let (say, said) = mpsc::unbounded_channel::<wire::FromWorker>();
        say.send(FromWorker::Hello(self.hello()).into())?;
        let mut client = ClusterClient::new(connect(address, self.shared.certs.as_deref()).await?);
        let mut control = client.control(UnboundedReceiverStream::new(said)).await?.into_inner();
        let Some(ToWorker::Welcome(welcome)) = control.message().await?.map(TryInto::try_into).transpose()?
        else {
            bail!("no welcome");
        };
        self.window = welcome.window;
        let (up, ups) = mpsc::unbounded_channel::<wire::TensorsUp>();
        up.send(Up::Open(welcome.session).into())?;
        let mut channel = connect(address, self.shared.certs.as_deref()).await?;
        let mut tensors = tensors::open(&mut channel, UnboundedReceiverStream::new(ups)).await?;
        self.shared.together.wait().await;
        say.send(FromWorker::Ready(Ready { fingerprint: [7; 32], threads: 1 }).into())?;

        let mut heartbeat = tokio::time::interval(Duration::from_millis(500));
        let mut open = true;
        loop {
            tokio::select! {
                message = control.message() => {
                    match message?.map(TryInto::try_into).transpose()? {
                        Some(ToWorker::Assign(assign)) => {
                            if self.assigned.as_ref().is_none_or(|old| old.step < assign.step) {
                                self.sent.clear();
                            }
                            self.assigned = Some(assign);
                        }
                        Some(ToWorker::End(end)) => {
                            ensure!(end.outcome == Outcome::Finished, "the run has failed: {}", end.text);
                            return Ok(());
                        }
                        Some(ToWorker::Accepted) => {}
                        other => bail!("unexpected: {other:?}"),
                    }
                }
                message = tensors.message(), if open => {
                    let Some(message) = message? else {
                        // The end is said on the control stream.
                        open = false;
                        continue;
                    };
                    match message.try_into()? {
                        Down::Weights(weights) => {
                            if let Pace::Every(pause) = self.pace && !pause.is_zero() {
                                tokio::time::sleep(pause).await;
                            }
                            if let Some(step) = self.take(weights.step) {
                                up.send(Up::Release(step).into())?;
                            }
                        }
                        Down::Grant { step, chunks } => self.granted = self.granted.max((step, chunks)),
                    }
                }
                _ = heartbeat.tick() => say.send(FromWorker::Heartbeat.into())?,
            }
            self.send(&up, began.as_ref())?;
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL,
            name: format!("sender-{}", self.number),
            host: "localhost".into(),
            pid: std::process::id(),
            numerics: numerics::name(),
            cpu: String::new(),
        }
    }

    /// A chunk of W(step) is here; the step whose W is whole now.
    fn take(&mut self, step: u64) -> Option<u64> {
        if self.coming.0 != step {
            self.coming = (step, 0);
        }
        self.coming.1 += 1;
        (self.coming.1 == self.shared.chunks.len()).then(|| {
            self.whole = Some(step);
            step
        })
    }

    /// Sends what is granted and was not sent.
    fn send(
        &mut self,
        up: &mpsc::UnboundedSender<wire::TensorsUp>,
        began: Option<&mpsc::UnboundedSender<u64>>,
    ) -> Result<()> {
        let Some(assign) = self.assigned.as_ref().filter(|assign| Some(assign.step) == self.whole) else {
            return Ok(());
        };
        if self.sent.is_empty()
            && let Some(began) = began
        {
            began.send(assign.step)?;
        }
        let granted = if self.granted.0 == assign.step { self.granted.1 } else { 0 };
        for rank in 0..granted.max(self.window) {
            let Some(chunk) = self.shared.chunks.mirrored(rank as usize) else { break };
            for node in &assign.nodes {
                let sent = self.sent.entry(*node).or_insert(0);
                if *sent > rank {
                    continue;
                }
                *sent += 1;
                let rows = u64::from(node.shards().end - node.shards().start);
                let gradient = Gradient {
                    generation: assign.generation,
                    step: assign.step,
                    node: *node,
                    chunk: u32::try_from(chunk)?,
                    summary: Summary { loss: 1.0, weight: rows as f64, rows },
                    payload: self.shared.payloads[chunk].clone(),
                };
                up.send(Up::Gradient(gradient).into())?;
            }
        }
        Ok(())
    }
}

async fn connect(address: SocketAddr, certs: Option<&Path>) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .tcp_nodelay(true);
    Ok(match certs {
        None => endpoint.connect().await?,
        Some(certs) => {
            let knocker = Knocker { address, certs: certs.join("workers/worker") };
            endpoint.connect_with_connector(knocker).await?
        }
    })
}

/// Connects by TLS.
#[derive(Debug)]
struct Knocker {
    address: SocketAddr,
    certs: PathBuf,
}

impl tonic::codegen::Service<tonic::codegen::http::Uri> for Knocker {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: tonic::codegen::http::Uri) -> Self::Future {
        let (address, certs) = (self.address, self.certs.clone());
        Box::pin(async move {
            let mut stream = knock::tls(address, Some(&certs), &rustls::version::TLS13, door::ALPN).await?;
            stream.get_ref().0.set_nodelay(true)?;
            knock::answer(&mut stream, &door::NO_PROOF).await?;
            Ok(TokioIo::new(stream))
        })
    }
}
