//! What a run leaves outside of the cluster: files, the log, what people see.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use lockstep_coordinator::driver::Effects;
use lockstep_coordinator::machine::{Fingerprint, Save};
use lockstep_coordinator::notice::Notice;
use lockstep_coordinator::progress::Record;
use lockstep_coordinator::reducer::Snapshot;
use lockstep_coordinator::store::RunDirectory;
use lockstep_core::digest::Digest;
use tracing::{Span, error, info, info_span, warn};

use super::serve::Stopping;
use crate::service_manager::{self, Watchdog};
use crate::show::Show;

/// The digest of the newest checkpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct NewestDigest(Arc<Mutex<Option<(u64, Digest)>>>);

impl NewestDigest {
    pub(super) fn newest(&self) -> Option<Digest> {
        self.0.lock().ok().and_then(|newest| newest.map(|(_, digest)| digest))
    }

    fn set(&self, step: u64, digest: Digest) {
        if let Ok(mut newest) = self.0.lock() {
            *newest = Some((step, digest));
        }
    }
}

pub(super) struct RunEffects {
    directory: Arc<RunDirectory>,
    show: Show,
    digest: NewestDigest,
    /// Steps between two lines of metrics about steps.
    record_every: u64,
    watchdog: Watchdog,
    stopping: Stopping,
}

impl RunEffects {
    pub(super) fn new(
        directory: Arc<RunDirectory>,
        show: Show,
        resumed: Option<(u64, Digest)>,
        record_every: u64,
        stopping: Stopping,
    ) -> (Self, NewestDigest) {
        let digest = NewestDigest::default();
        if let Some((step, resumed)) = resumed {
            digest.set(step, resumed);
        }
        let watchdog = Watchdog::of_unit();
        (Self { directory, show, digest: digest.clone(), record_every, watchdog, stopping }, digest)
    }
}

impl Effects for RunEffects {
    fn save(&mut self, save: Save, snapshot: Snapshot) -> Box<dyn FnOnce() -> Result<(), String> + Send> {
        let (directory, newest) = (self.directory.clone(), self.digest.clone());
        Box::new(move || {
            let digest = directory.write_checkpoint(&save, &snapshot).map_err(|error| error.to_string())?;
            info!("checkpoint of step {} is written, {digest}", snapshot.step);
            newest.set(snapshot.step, digest);
            Ok(())
        })
    }

    fn remember(&mut self, fingerprint: Fingerprint) {
        info!("the run's numerics are {}", fingerprint.numerics);
        if let Err(problem) = self.directory.remember(&fingerprint) {
            error!("the fingerprint could not be stored: {problem}");
        }
    }

    fn record(&mut self, record: Record) {
        self.show.record(&record);
        if let Record::Step(step) = &record {
            Span::current().record("step", step.step);
        }
        let wanted = match &record {
            Record::Step(step) => {
                step.step.is_multiple_of(self.record_every) || step.step == step.total_steps
            }
            Record::Skipped { .. } | Record::Evaluation { .. } => true,
        };
        if wanted && let Err(problem) = self.directory.record(&record) {
            warn!("a line of metrics could not be written: {problem}");
        }
    }

    fn notice(&mut self, notice: Notice) {
        if matches!(notice, Notice::Stopping { .. }) {
            service_manager::stopping();
            self.stopping.store(true, Ordering::Relaxed);
        }
        let (worker, step) = notice.about();
        info_span!("notice", worker, step).in_scope(|| info!("{notice}"));
        self.show.notice(&notice);
    }

    fn turned(&mut self) {
        self.watchdog.turned();
    }
}
