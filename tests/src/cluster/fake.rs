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
}

/// How long a stream stays open once all is said, for the other side to take it in.
const HELD: Duration = Duration::from_millis(150);

/// The liar.
#[derive(Clone, Debug)]
pub struct Fake {
    scenes: Arc<Vec<Scene>>,
    sessions: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    played: Arc<Mutex<Vec<&'static str>>>,
}

impl Fake {
    /// Plays these, then says that the run is finished.
    pub fn new(scenes: Vec<Scene>) -> Self {
        Self {
            scenes: Arc::new(scenes),
            sessions: Arc::default(),
            requests: Arc::default(),
            played: Arc::default(),
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
}

type Outgoing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn held<T: Send + 'static>(messages: Vec<T>) -> Response<Outgoing<T>> {
    let (out, incoming) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for message in messages {
            let _ = out.send(message);
        }
        tokio::time::sleep(HELD).await;
    });
    let stream = tokio_stream::wrappers::UnboundedReceiverStream::new(incoming);
    Response::new(Box::pin(stream.map(Ok)))
}

#[tonic::async_trait]
impl Cluster for Fake {
    type ControlStream = Outgoing<wire::ToWorker>;
    type TensorsStream = Outgoing<wire::TensorsDown>;
    type RowsStream = Outgoing<wire::RowsPart>;

    async fn control(
        &self,
        _: Request<Streaming<wire::FromWorker>>,
    ) -> Result<Response<Self::ControlStream>, Status> {
        let session = self.sessions.fetch_add(1, Ordering::SeqCst);
        self.requests.store(0, Ordering::SeqCst);
        let Some(scene) = self.scenes.get(session) else {
            let end = ToWorker::End(End { outcome: Outcome::Finished, text: "enough".into() });
            return Ok(held(vec![end.into()]));
        };
        self.played.lock().unwrap().push(scene.name);
        Ok(held(scene.control.clone()))
    }

    async fn tensors(
        &self,
        _: Request<Streaming<wire::TensorsUp>>,
    ) -> Result<Response<Self::TensorsStream>, Status> {
        Ok(held(self.scene().tensors))
    }

    async fn probe(&self, _: Request<wire::ProbeRequest>) -> Result<Response<wire::ProbeAnswer>, Status> {
        Err(Status::unimplemented("an older release"))
    }

    async fn stop(&self, _: Request<wire::StopRequest>) -> Result<Response<wire::StopAnswer>, Status> {
        Err(Status::unimplemented("an older release"))
    }

    async fn rows(&self, _: Request<wire::RowsRequest>) -> Result<Response<Self::RowsStream>, Status> {
        let request = self.requests.fetch_add(1, Ordering::SeqCst);
        let parts = self.scene().rows.get(request).cloned().unwrap_or_default();
        Ok(Response::new(Box::pin(tokio_stream::iter(parts.into_iter().map(Ok)))))
    }
}
