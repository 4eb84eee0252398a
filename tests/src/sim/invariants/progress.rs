//! Progress returns after the last fault: the run ends, and nothing that is due was left out.

use std::collections::BTreeSet;
use std::time::Duration;

use lockstep_coordinator::machine::Save;

use super::Verdict;
use crate::sim::case::Case;
use crate::sim::hub::Hub;

#[derive(Debug, Default)]
pub(in crate::sim) struct Progress {
    end: Duration,
    evaluated: BTreeSet<u64>,
    /// Steps whose checkpoint met a full disk.
    not_saved: BTreeSet<u64>,
}

impl Progress {
    /// Nothing goes wrong after `peace`. On a slow network each chunk may wait a while for its grant.
    /// A worker that never did such work is hung after 64 times what the slowest took; where numbers are
    /// not finite, it may be the only other who can say so.
    pub(in crate::sim) fn expect_end(&mut self, peace: Duration, case: &Case) {
        let step = 10 + case.chunks.len() as u64;
        self.end = peace + Duration::from_secs(1000 + step * case.total_steps);
    }

    pub(in crate::sim) fn check(&self, now: Duration) -> Verdict {
        if now > self.end {
            return Err("progress: the run does not end although nothing goes wrong any more".into());
        }
        Ok(())
    }

    pub(super) fn evaluated(&mut self, step: u64) {
        self.evaluated.insert(step);
    }

    pub(in crate::sim) fn not_saved(&mut self, step: u64) {
        self.not_saved.insert(step);
    }

    pub(in crate::sim) fn saves(&self, case: &Case, save: &Save) -> Verdict {
        let step = save.progress.step;
        if save.milestone != case.milestone(step) {
            return Err(format!("progress: the checkpoint of step {step}: milestone {}", save.milestone));
        }
        Ok(())
    }

    /// The run has ended.
    pub(in crate::sim) fn finish(&self, case: &Case, hub: &Hub) -> Verdict {
        if let Some(step) = (0..=case.total_steps).find(|s| case.evaluates(*s) && !self.evaluated.contains(s))
        {
            return Err(format!("progress: W({step}) was never evaluated"));
        }
        let saved: BTreeSet<u64> = hub
            .disk
            .saved
            .iter()
            .filter(|(save, _)| save.milestone)
            .map(|(save, _)| save.progress.step)
            .collect();
        let due = |step: &u64| case.milestone(*step) && !saved.contains(step);
        let missing = (0..=case.total_steps).filter(|step| !self.not_saved.contains(step)).find(due);
        if let Some(step) = missing {
            return Err(format!("progress: the checkpoint of step {step} was never written"));
        }
        if !saved.contains(&case.total_steps) {
            return Err("progress: the last checkpoint was never written".into());
        }
        Ok(())
    }
}
