//! A coordinator that runs, and what ends it before its last step: signals, the time limit, and that all
//! workers that this process started have ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lockstep_coordinator::driver::Ended;
use lockstep_coordinator::{Coordinator, Stopper};
use lockstep_proto::message::Outcome;
use tokio::runtime::{Builder, Runtime};

use super::Listening;
use crate::failure::Failure;
use crate::workers::Workers;
use crate::{print, signals};

/// A run that is heard to be stopping, whoever asked for it.
pub(super) type Stopping = Arc<AtomicBool>;

/// Whom a signal stops: nobody before the run is served.
type Served = Arc<OnceLock<Stopper>>;

/// The runtime of a coordinator, on which signals are heard already while data are read.
#[derive(Debug)]
pub(super) struct Server {
    runtime: Runtime,
    served: Served,
}

impl Server {
    /// From now on a signal is a stop in order. Call it when this process will not be executed again:
    /// a signal in between would be lost.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn new() -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("no runtime: {error}")))?;
        let served = Served::default();
        let stop = {
            let _inside = runtime.enter();
            signals::first()?
        };
        let signalled = served.clone();
        runtime.spawn(async move {
            stop.await;
            match signalled.get() {
                Some(stopper) => stopper.stop().await,
                None => end_early(),
            }
        });
        Ok(Self { runtime, served })
    }

    /// Runs the coordinator, with the time limit and local workers watched.
    pub(super) fn run<F, R>(
        self,
        listening: Listening,
        until: Option<Instant>,
        stopping: &Stopping,
        run: F,
    ) -> Result<Ended, Failure>
    where
        F: FnOnce(tokio::net::TcpListener, Coordinator) -> R,
        R: Future<Output = std::io::Result<Ended>>,
    {
        let Listening { listener, door, mut workers } = listening;
        let kind = workers.as_ref().map_or("", Workers::kind);
        let system = |error| Failure::failed(format!("cannot serve: {error}"));
        let (ended, gone) = self.runtime.block_on(async {
            listener.set_nonblocking(true).map_err(system)?;
            let listener = tokio::net::TcpListener::from_std(listener).map_err(system)?;
            let coordinator = Coordinator::default().behind(door);
            let stopper = coordinator.stopper();
            // It is set once.
            let _ = self.served.set(stopper.clone());
            if let Some(until) = until {
                let limited = stopper.clone();
                tokio::spawn(async move {
                    tokio::time::sleep_until(until.into()).await;
                    limited.stop().await;
                });
            }
            let mut run = std::pin::pin!(run(listener, coordinator));
            let gone = tokio::select! {
                ended = &mut run => return ended.map(|ended| (ended, None)).map_err(system),
                gone = watch(workers.as_mut(), stopping, ENDING) => gone,
            };
            stopper.stop().await;
            // However long the last checkpoint takes.
            run.await.map(|ended| (ended, Some(gone))).map_err(system)
        })?;
        let ended = match gone {
            Some(why) if ended.outcome == Outcome::Stopped => Err(Failure::failed(format!(
                "all {kind} workers have ended ({why}); see lockstep.log in the run directory, and go on with --resume"
            ))),
            _ => Ok(ended),
        };
        if let (Some(workers), true) = (workers, ended.is_ok()) {
            workers.finish();
        }
        ended
    }
}

/// Ends the process, whose only work is to read.
fn end_early() {
    let failure = Failure::unfinished(
        "stopped by a signal before training began; run the same command with --resume to go on",
    );
    print::failure(&failure);
    std::process::exit(failure.code().into());
}

/// A run that ends by itself ends so long after its workers, at most.
const ENDING: Duration = Duration::from_secs(3);

/// Returns how the last worker that was started has ended, once all have although the run was not asked to
/// stop. In a run that stops, their end is as it should be.
async fn watch(workers: Option<&mut Workers>, stopping: &Stopping, ending: Duration) -> String {
    let Some(workers) = workers else { return std::future::pending().await };
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if let Some(why) = workers.all_ended() {
            tokio::time::sleep(ending).await;
            if stopping.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            return why;
        }
    }
}

/// When a run that began then is over by its limit; never if that is past all clocks.
pub(super) fn until(began: Instant, limit: Option<Duration>) -> Option<Instant> {
    // The timer rounds up.
    let room = Duration::from_secs(1);
    limit.and_then(|limit| began.checked_add(limit)).filter(|until| until.checked_add(room).is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use std::process::Command;

    use super::*;

    /// One that has ended with 1.
    fn ended() -> Workers {
        let mut child = Command::new("false").spawn().unwrap();
        child.wait().unwrap();
        let mut workers = Workers::new("local");
        workers.push("w".into(), child);
        workers
    }

    #[test]
    fn workers_that_end_while_the_run_stops_are_not_missed() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stopping = Stopping::default();
            let why = watch(Some(&mut ended()), &stopping, Duration::ZERO).await;
            assert!(why.contains('1'), "{why}");
            stopping.store(true, Ordering::Relaxed);
            let (mut workers, some) = (ended(), Duration::from_secs(1));
            let watched = tokio::time::timeout(some, watch(Some(&mut workers), &stopping, Duration::ZERO));
            assert!(watched.await.is_err());
        });
    }

    #[test]
    fn a_limit_past_all_clocks_is_none() {
        let began = Instant::now();
        assert_eq!(until(began, None), None);
        let day = Duration::from_secs(86_400);
        assert_eq!(until(began, Some(day)), Some(began + day));
        for limit in [Duration::MAX, Duration::from_secs(15_778_800_000_000_000_000)] {
            assert_eq!(until(began, Some(limit)), None);
        }
    }
}
