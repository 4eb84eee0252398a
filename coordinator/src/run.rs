//! `run(listener, …)`: the service and the driver together. The caller owns the port and the lifetime.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, Span};

use crate::calls::Call;
use crate::cluster::Cluster;
use crate::datasets::Datasets;
use crate::door::Door;
use crate::driver::{Driver, Effects, Ended, Showing};
use crate::phases::{Phases, Trace};
use crate::refusals::Refusals;
use crate::service::{self, Service};
use crate::view::Publisher;

/// Messages that wait for the driver. Gradients among them are bounded by grants besides.
const QUEUE: usize = 64;

/// How long streams may take to send what is queued once the run has ended.
const FLUSH: Duration = Duration::from_secs(2);

/// A coordinator that is ready to serve.
#[derive(Debug)]
pub struct Coordinator {
    calls: mpsc::Receiver<Call>,
    own: mpsc::Sender<Call>,
    door: Door,
    showing: Showing,
    trace: Trace,
}

/// Asks a running coordinator to write a checkpoint and end.
#[derive(Clone, Debug)]
pub struct Stopper(mpsc::Sender<Call>);

impl Stopper {
    /// Returns when the coordinator has heard, or is gone.
    pub async fn stop(&self) {
        let _ = self.0.send(Call::Stop).await;
    }
}

impl Default for Coordinator {
    fn default() -> Self {
        let (own, calls) = mpsc::channel(QUEUE);
        Self { calls, own, door: Door::default(), showing: Showing::default(), trace: Trace::default() }
    }
}

impl Coordinator {
    /// Lets in whom the door lets in; without, everybody.
    #[must_use]
    pub fn behind(self, door: Door) -> Self {
        let showing = Showing { kept_out: door.refused(), ..self.showing };
        Self { door, showing, ..self }
    }

    /// Stops it from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.own.clone())
    }

    /// Lets others look on.
    pub fn show(&mut self, publisher: Publisher) {
        self.showing.publisher = Some(publisher);
    }

    /// Puts what is done, here and by workers, into a trace.
    #[must_use]
    pub fn traced(self, trace: Trace) -> Self {
        Self { trace, ..self }
    }

    /// Where everyone who serves this run counts what is refused.
    pub fn refusals(&self) -> Refusals {
        self.showing.refusals.clone()
    }

    /// Serves workers on `listener` until the run ends.
    ///
    /// # Errors
    /// If the listener fails, or the driver's thread.
    pub async fn run(
        self,
        listener: TcpListener,
        cluster: Cluster,
        effects: impl Effects + 'static,
        rows: Arc<Datasets>,
        heartbeat: Duration,
    ) -> io::Result<Ended> {
        let connections = self.door.open(listener, self.own.clone(), heartbeat);
        let (refusals, kept_out) = (self.refusals(), self.door.refused());
        let phases = Phases::new(self.trace.run);
        let driver =
            Driver::new(cluster, effects, self.calls, self.own.clone(), heartbeat, self.showing, phases);
        let (done, shutdown) = oneshot::channel::<()>();
        let service = Service::new(self.own, rows, refusals, kept_out, self.trace.parent.as_deref());
        let server = tokio::spawn(service::serve(connections, service, async {
            let _ = shutdown.await;
        }));
        let runtime = tokio::runtime::Handle::current();
        let span = Span::current();
        let driven =
            tokio::task::spawn_blocking(move || runtime.block_on(driver.run().instrument(span))).await;
        drop(done);
        // Workers that are still reading get their last messages; the silent ones are not waited for.
        let served = tokio::time::timeout(FLUSH, server).await;
        let ended = driven.map_err(io::Error::other)?;
        match served {
            Ok(Ok(Err(error))) => Err(io::Error::other(error)),
            _ => Ok(ended),
        }
    }
}
