//! The gRPC service: converts, passes on, converts. It decides nothing.
//!
//! The tensor stream has a codec of its own, [`tensors`], which copies less than tonic's: its calls are
//! taken out before the generated code sees them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use lockstep_proto::message::{Dataset, FromWorker, RowsRequest, Up};
use lockstep_proto::settings::{FRAME, KEEPALIVE, MESSAGE_LIMIT, TRACEPARENT, WINDOW};
use lockstep_proto::wire::cluster_server::{Cluster, ClusterServer};
use lockstep_proto::{Malformed, PROTOCOL, Session, tensors, wire};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service as TowerService, http};
use tonic::metadata::AsciiMetadataValue;
use tonic::server::NamedService;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::calls::{Asked, Call, NoSuchWorker};
use crate::datasets::Datasets;
use crate::door::{self, Connection, Peer, Who, Wish};
use crate::notice::Notice;
use crate::outbox;
use crate::refusals::Refusals;
use crate::serving::Serving;

/// Serves workers until `shutdown` resolves.
pub(crate) async fn serve(
    connections: impl Stream<Item = std::io::Result<Connection>> + Send + 'static,
    service: Service,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let service = Arc::new(service);
    let generated = ClusterServer::from_arc(service.clone())
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    tonic::transport::Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(16)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .add_service(Front { service, generated })
        .serve_with_incoming_shutdown(connections, shutdown)
        .await
}

const PROBE: &str = "/lockstep.v1.Cluster/Probe";
const STOP: &str = "/lockstep.v1.Cluster/Stop";

/// What the server calls. Who may call what is decided here, in one place for all calls.
#[derive(Clone)]
struct Front {
    service: Arc<Service>,
    generated: ClusterServer<Service>,
}

impl NamedService for Front {
    const NAME: &'static str = ClusterServer::<Service>::NAME;
}

impl TowerService<http::Request<Body>> for Front {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.service.clone();
        let path = request.uri().path();
        let wish = match path {
            PROBE => Wish::Probe,
            STOP => Wish::Stop,
            _ => Wish::Work,
        };
        let peer = request.extensions().get::<Peer>();
        let denied = peer.map_or(&Who::Anyone, |peer| &peer.who).denied(wish);
        if let Some((refusal, text)) = denied {
            let from = peer.map_or("somewhere".into(), |peer| peer.address.ip().to_string());
            return Box::pin(async move {
                service.keep_out(refusal, from).await;
                Ok(Status::permission_denied(text).into_http())
            });
        }
        if path != tensors::PATH {
            return self.generated.call(request);
        }
        Box::pin(async move {
            let answer = service.exchange(tensors::Incoming::new(request.into_body())).await;
            Ok(answer.unwrap_or_else(|status| service.refused(status).into_http()))
        })
    }
}

pub(crate) struct Service {
    calls: mpsc::Sender<Call>,
    rows: Arc<Datasets>,
    refusals: Refusals,
    kept_out: door::Refusals,
    /// What joins workers' spans to the run's.
    traceparent: Option<AsciiMetadataValue>,
}

type Outgoing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Cluster for Service {
    type ControlStream = Outgoing<wire::ToWorker>;
    type TensorsStream = Outgoing<wire::TensorsDown>;
    type RowsStream = Outgoing<wire::RowsPart>;

    async fn control(
        &self,
        request: Request<Streaming<wire::FromWorker>>,
    ) -> Result<Response<Self::ControlStream>, Status> {
        self.converse(request.into_inner()).await.map_err(|status| self.refused(status))
    }

    async fn tensors(
        &self,
        _: Request<Streaming<wire::TensorsUp>>,
    ) -> Result<Response<Self::TensorsStream>, Status> {
        Err(Status::internal("the tensor stream is served before this"))
    }

    async fn probe(
        &self,
        request: Request<wire::ProbeRequest>,
    ) -> Result<Response<wire::ProbeAnswer>, Status> {
        static ZEROS: [u8; 1 << 20] = [0; 1 << 20];
        let length = (request.into_inner().answer as usize).min(ZEROS.len());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Response::new(wire::ProbeAnswer {
            payload: ZEROS.get(..length).map(Bytes::from_static).unwrap_or_default(),
            protocol: PROTOCOL,
            unix_micros: u64::try_from(since.as_micros()).unwrap_or_default(),
        }))
    }

    async fn stop(&self, request: Request<wire::StopRequest>) -> Result<Response<wire::StopAnswer>, Status> {
        let by = match request.extensions().get::<Peer>() {
            Some(Peer { who, address }) => format!("{who} ({})", address.ip()),
            None => Who::Anyone.to_string(),
        };
        let wire::StopRequest { worker } = request.into_inner();
        let worker = Some(worker).filter(|worker| !worker.is_empty());
        let (answer, asked) = oneshot::channel();
        self.call(Call::Ask { worker, by, answer }).await?;
        let Asked { run, step, staying } = asked.await.map_err(|_| ended())?.map_err(no_such_worker)?;
        Ok(Response::new(wire::StopAnswer { run, step, staying }))
    }

    async fn rows(&self, request: Request<wire::RowsRequest>) -> Result<Response<Self::RowsStream>, Status> {
        self.serve_rows(request).await.map_err(|status| self.refused(status))
    }
}

impl Service {
    pub(crate) fn new(
        calls: mpsc::Sender<Call>,
        rows: Arc<Datasets>,
        refusals: Refusals,
        kept_out: door::Refusals,
        traceparent: Option<&str>,
    ) -> Self {
        let traceparent = traceparent.and_then(|text| text.parse().ok());
        Self { calls, rows, refusals, kept_out, traceparent }
    }

    async fn converse(
        &self,
        mut incoming: Streaming<wire::FromWorker>,
    ) -> Result<Response<Outgoing<wire::ToWorker>>, Status> {
        let first = incoming.message().await?.ok_or_else(|| Status::invalid_argument("no first message"))?;
        let FromWorker::Hello(hello) = first.try_into().map_err(malformed)? else {
            return Err(Status::invalid_argument("the first control message must be Hello"));
        };
        let (outbox, outgoing) = mpsc::unbounded_channel();
        let (answer, session) = oneshot::channel();
        self.call(Call::Hello { hello, outbox, session: answer }).await?;
        let session = session.await.map_err(|_| ended())?;
        let refusals = self.refusals.clone();
        tokio::spawn(forward(incoming, self.calls.clone(), refusals, session, Call::FromWorker));
        let outgoing = UnboundedReceiverStream::new(outgoing).map(|message| Ok(message.into()));
        let mut answer = Response::new(Box::pin(outgoing) as Outgoing<wire::ToWorker>);
        if let Some(traceparent) = &self.traceparent {
            answer.metadata_mut().insert(TRACEPARENT, traceparent.clone());
        }
        Ok(answer)
    }

    async fn serve_rows(
        &self,
        request: Request<wire::RowsRequest>,
    ) -> Result<Response<Outgoing<wire::RowsPart>>, Status> {
        // Between processes of one machine packing costs more than it saves.
        let pack = request.extensions().get::<Peer>().is_some_and(|peer| !peer.address.ip().is_loopback());
        let RowsRequest { session, dataset, first, count } =
            request.into_inner().try_into().map_err(malformed)?;
        let (answer, known) = oneshot::channel();
        self.call(Call::Knows { session, known: answer }).await?;
        if !known.await.map_err(|_| ended())? {
            return Err(unknown(session));
        }
        let serving = Serving { rows: self.rows.clone(), calls: self.calls.clone(), session, dataset, pack };
        let parts = match dataset {
            Dataset::Catalog => serving.catalog(first, count),
            _ => self.rows.cut(dataset, first, count),
        };
        // A part is read and encoded when the connection has room for it, on a thread that may wait.
        let parts = tokio_stream::iter(parts).then(move |part| {
            let serving = serving.clone();
            async move {
                let part = tokio::task::spawn_blocking(move || serving.part(part));
                part.await.map_err(|_| Status::internal("the part's thread has ended"))?
            }
        });
        Ok(Response::new(Box::pin(parts)))
    }

    async fn exchange(
        &self,
        mut incoming: tensors::Incoming<wire::TensorsUp>,
    ) -> Result<http::Response<Body>, Status> {
        let first = incoming.message().await?.ok_or_else(|| Status::invalid_argument("no first message"))?;
        let Up::Open(session) = first.try_into().map_err(malformed)? else {
            return Err(Status::invalid_argument("the first tensor message must be Open"));
        };
        let (outbox, outgoing) = outbox::channel();
        let (answer, known) = oneshot::channel();
        self.call(Call::Tensors { session, outbox, known: answer }).await?;
        if !known.await.map_err(|_| ended())? {
            return Err(unknown(session));
        }
        tokio::spawn(forward(incoming, self.calls.clone(), self.refusals.clone(), session, Call::Up));
        Ok(tensors::answer(outgoing.map(wire::TensorsDown::from)))
    }

    /// Counts it, and tells if it is time to.
    async fn keep_out(&self, refusal: door::Refusal, from: String) {
        if let Some(times) = self.kept_out.add(refusal) {
            let notice = Notice::NotLetIn { what: refusal.what(), from, why: refusal.to_string(), times };
            // Without a driver the run has ended.
            let _ = self.calls.send(Call::Notice(notice)).await;
        }
    }

    async fn call(&self, call: Call) -> Result<(), Status> {
        self.calls.send(call).await.map_err(|_| ended())
    }

    /// Counts it, if it is the caller's fault.
    fn refused(&self, status: Status) -> Status {
        if let Some(reason) = fault(&status) {
            self.refusals.count(reason);
        }
        status
    }
}

/// Passes a stream's messages on until it ends, which ends the session.
async fn forward<W, M: TryFrom<W, Error = Malformed>>(
    mut incoming: impl Stream<Item = Result<W, Status>> + Unpin,
    calls: mpsc::Sender<Call>,
    refusals: Refusals,
    session: Session,
    call: fn(Session, M) -> Call,
) {
    let why = loop {
        match incoming.next().await {
            Some(Ok(message)) => match message.try_into() {
                Ok(message) => {
                    if calls.send(call(session, message)).await.is_err() {
                        return;
                    }
                }
                Err(malformed) => {
                    refusals.count("malformed");
                    break malformed.to_string();
                }
            },
            None => break "it closed its connection".to_owned(),
            Some(Err(status)) => {
                if let Some(reason) = fault(&status) {
                    refusals.count(reason);
                }
                break broken(&status);
            }
        }
    };
    // Without a driver there is no session to end.
    let _ = calls.send(Call::Gone(session, why)).await;
}

/// What a caller did wrong, as a label of metrics; `None` where nobody did, or a connection broke.
fn fault(status: &Status) -> Option<&'static str> {
    match status.code() {
        Code::InvalidArgument | Code::Internal => Some("malformed"),
        Code::OutOfRange => Some("too_large"),
        Code::PermissionDenied => Some("unknown_session"),
        Code::Unauthenticated => Some("unauthenticated"),
        _ => None,
    }
}

fn broken(status: &Status) -> String {
    match status.code() {
        Code::OutOfRange => format!("a message is too large: {}", status.message()),
        Code::Cancelled | Code::Unavailable | Code::Unknown => "its connection broke".to_owned(),
        _ => status.message().to_owned(),
    }
}

fn malformed(why: Malformed) -> Status {
    Status::invalid_argument(why.to_string())
}

fn ended() -> Status {
    Status::unavailable("the coordinator is ending")
}

fn unknown(session: Session) -> Status {
    Status::permission_denied(format!("session {session} is not one of this run's, or has ended"))
}

/// Names in a status, which travels as a header.
const MOST_NAMES: usize = 20;

fn no_such_worker(NoSuchWorker(here): NoSuchWorker) -> Status {
    let more = here.len().saturating_sub(MOST_NAMES);
    let mut here = here.into_iter().take(MOST_NAMES).collect::<Vec<_>>().join(", ");
    if here.is_empty() {
        here = "nobody".into();
    }
    if more > 0 {
        here += &format!(" and {more} more");
    }
    Status::not_found(format!("no worker of that name is in the run; here are: {here}"))
}
