//! When a checkpoint is due, and when a run has nothing more to gain.

use std::time::Duration;

use lockstep_core::metrics::Sums;
use lockstep_proto::message::Outcome;

use super::{Action, Machine, Save, Watched, Work};
use crate::notice::Notice;
use crate::watch::Watch;

impl Machine {
    /// All steps are done, or early stopping has lost its patience.
    pub(super) fn nothing_more(&self) -> bool {
        let stale = self.progress.patience.map_or(0, |watch| watch.stale);
        let early = self.config.watched.early_stopping.is_some_and(|stopping| stale >= stopping.patience);
        early || self.progress.step >= self.config.total_steps
    }

    /// Compares an evaluation with those before it.
    pub(super) fn watch(&mut self, step: u64, sums: Sums) {
        let Watched { kind, best, early_stopping } = self.config.watched;
        let Some(report) = sums.report(kind) else { return };
        let progress = &mut self.progress;
        progress.best = best.map(|metric| Watch::after(progress.best, metric, 0.0, step, &report));
        progress.patience = early_stopping.map(|stopping| {
            Watch::after(progress.patience, stopping.metric, stopping.min_delta, step, &report)
        });
    }

    /// Asks for a checkpoint of W(step) if one is due. Whether the run can go on meanwhile: it waits
    /// only for one that it ends with, or for an older one that is still being written.
    pub(super) fn save_if_due(&mut self, now: Duration, must: bool) -> bool {
        let step = self.progress.step;
        let milestone = step > 0 && (step.is_multiple_of(self.config.save_every) || self.nothing_more());
        let best = self.progress.best.is_some_and(|best| best.step() == Some(step));
        let known = [self.progress.saved_step, self.saving].contains(&Some(step));
        let again = must || self.not_saved != Some(step);
        // One by time is not waited for.
        let late = self.config.save_after.is_some_and(|after| now.saturating_sub(self.saved_at) >= after);
        let timed = late && step > 0 && self.saving.is_none();
        let due = !known && (self.stopping || ((milestone || best) && again) || timed);
        if self.saving.is_some() && (due || must) {
            // Checkpoints are written one at a time; other steps go on meanwhile.
            return false;
        }
        if due {
            (self.saving, self.saved_at) = (Some(step), now);
            self.actions
                .push_back(Action::Save(Box::new(Save { progress: self.progress.clone(), milestone })));
            return !must;
        }
        true
    }

    pub(super) fn saved(&mut self, now: Duration, step: u64, result: Result<(), String>) {
        if self.saving != Some(step) {
            return;
        }
        self.saving = None;
        match result {
            Ok(()) => self.progress.saved_step = Some(step),
            Err(why) => {
                self.not_saved = Some(step);
                self.notice(Notice::NotSaved { step, why: why.clone() });
                let last = self.stopping || self.nothing_more();
                // While a step is computed, the one after it can still be written.
                if last && step == self.progress.step && matches!(self.work, Work::Idle) {
                    let text = format!("the checkpoint of step {step} could not be written: {why}");
                    return self.finish(Outcome::Failed, text);
                }
            }
        }
        if matches!(self.work, Work::Idle) {
            self.boundary(now);
        }
    }
}
