//! A coordinator that lies: it plays one scene for each session that a worker opens.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lockstep_proto::message::{End, Outcome, ToWorker};
use lockstep_proto::wire;
use lockstep_proto::wire::cluster_server::{Cluster, ClusterServer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// What the coordinator says in one session.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// For a failure's message.
    pub name: &'static str,
    /// On the control stream.
    pub control: Vec<wire::ToWorker>,
    /// On the tensor stream.
    pub tensors: Vec<wire::TensorsDown>,
    /// The rows of each request.
    pub rows: Vec<Vec<wire::RowsPart>>,
    /// How long its streams stay open once all is said.
    pub open: Open,
}

/// How long streams stay open, for the other side to take in what was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Open {
    /// For a moment: a worker that does not answer must not hold up the next scene.
    #[default]
    Briefly,
    /// Until the worker has got at the rows of its work, or given up: it asks for more than the scene has,
    /// it says that it has computed, or it goes.
    UntilRead,
}

/// A moment.
const HELD: Duration = Duration::from_millis(150);

/// Becomes true when a session has nothing to wait for any more.
type Over = Arc<watch::Sender<bool>>;

/// The liar.
#[derive(Clone, Debug)]
pub struct Fake {
    scenes: Arc<Vec<Scene>>,
    sessions: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    played: Arc<Mutex<Vec<&'static str>>>,
    /// Of the newest session.
    over: Arc<Mutex<Over>>,
}

impl Fake {
    /// Plays these, then says that the run is finished.
    pub fn new(scenes: Vec<Scene>) -> Self {
        Self {
            scenes: Arc::new(scenes),
            sessions: Arc::default(),
            requests: Arc::default(),
            played: Arc::default(),
            over: Arc::default(),
        }
    }

    /// Sessions that were opened; the last was told that the run is finished.
    pub fn played(&self) -> Vec<&'static str> {
        self.played.lock().unwrap().clone()
    }

    /// Serves on a free port for as long as the runtime lives.
    pub async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_service(ClusterServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        address
    }

    fn scene(&self) -> Scene {
        self.scenes.get(self.sessions.load(Ordering::SeqCst).wrapping_sub(1)).cloned().unwrap_or_default()
    }

    fn over(&self) -> Over {
        self.over.lock().unwrap().clone()
    }
}

type Outgoing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn held<T: Send + 'static>(messages: Vec<T>, open: Open, over: &Over) -> Response<Outgoing<T>> {
    let mut over = over.subscribe();
    let (out, incoming) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for message in messages {
            let _ = out.send(message);
        }
        match open {
            Open::Briefly => tokio::time::sleep(HELD).await,
            Open::UntilRead => tokio::select! {
                _ = over.wait_for(|over| *over) => {}
                () = out.closed() => {}
            },
        }
    });
    let stream = tokio_stream::wrappers::UnboundedReceiverStream::new(incoming);
    Response::new(Box::pin(stream.map(Ok)))
}

/// Listens to a worker until it has computed what it was told, or goes.
async fn until_computed(mut worker: Streaming<wire::FromWorker>, over: Over) {
    while let Ok(Some(wire::FromWorker { message })) = worker.message().await {
        if matches!(message, Some(wire::from_worker::Message::Computed(_))) {
            break;
        }
    }
    over.send_replace(true);
}

#[tonic::async_trait]
impl Cluster for Fake {
    type ControlStream = Outgoing<wire::ToWorker>;
    type TensorsStream = Outgoing<wire::TensorsDown>;
    type RowsStream = Outgoing<wire::RowsPart>;

    async fn control(
        &self,
        request: Request<Streaming<wire::FromWorker>>,
    ) -> Result<Response<Self::ControlStream>, Status> {
        let session = self.sessions.fetch_add(1, Ordering::SeqCst);
        self.requests.store(0, Ordering::SeqCst);
        let over = Over::default();
        *self.over.lock().unwrap() = over.clone();
        let Some(scene) = self.scenes.get(session) else {
            let end = ToWorker::End(End { outcome: Outcome::Finished, text: "enough".into() });
            return Ok(held(vec![end.into()], Open::Briefly, &over));
        };
        self.played.lock().unwrap().push(scene.name);
        let answer = held(scene.control.clone(), scene.open, &over);
        if scene.open == Open::UntilRead {
            tokio::spawn(until_computed(request.into_inner(), over));
        }
        Ok(answer)
    }

    async fn tensors(
        &self,
        _: Request<Streaming<wire::TensorsUp>>,
    ) -> Result<Response<Self::TensorsStream>, Status> {
        let Scene { tensors, open, .. } = self.scene();
        Ok(held(tensors, open, &self.over()))
    }

    async fn probe(&self, _: Request<wire::ProbeRequest>) -> Result<Response<wire::ProbeAnswer>, Status> {
        Err(Status::unimplemented("an older release"))
    }

    async fn stop(&self, _: Request<wire::StopRequest>) -> Result<Response<wire::StopAnswer>, Status> {
        Err(Status::unimplemented("an older release"))
    }

    async fn rows(&self, _: Request<wire::RowsRequest>) -> Result<Response<Self::RowsStream>, Status> {
        let request = self.requests.fetch_add(1, Ordering::SeqCst);
        let parts = self.scene().rows.get(request).cloned().unwrap_or_else(|| {
            self.over().send_replace(true);
            Vec::new()
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(parts.into_iter().map(Ok)))))
    }
}
