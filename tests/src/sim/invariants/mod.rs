//! What must hold after every event, a file each.

mod audit;
mod commits;
mod flapping;
mod generations;
mod memory;
mod outbox;
mod progress;
mod refusals;
mod rows;
mod weights;

use lockstep_coordinator::cluster::Cluster;
use lockstep_coordinator::progress::Record;

use super::case::Case;

/// What is wrong.
pub(super) type Verdict = Result<(), String>;

/// All of them, over all lives of the coordinator.
#[derive(Debug, Default)]
pub(super) struct Invariants {
    pub(super) audit: audit::Audit,
    pub(super) commits: commits::Commits,
    pub(super) flapping: flapping::Flapping,
    pub(super) generations: generations::Generations,
    pub(super) memory: memory::Memory,
    pub(super) outbox: outbox::Outbox,
    pub(super) progress: progress::Progress,
    pub(super) refusals: refusals::Refusals,
    pub(super) rows: rows::Rows,
    pub(super) weights: weights::Weights,
}

impl Invariants {
    /// The coordinator starts, at this step.
    pub(super) fn start(&mut self, step: u64) {
        self.audit.start();
        self.commits.start(step);
        self.flapping.start();
        self.rows.start();
    }

    /// A step or an evaluation is done.
    pub(super) fn record(&mut self, case: &Case, cluster: &Cluster, record: &Record) -> Verdict {
        match record {
            Record::Step(record) => {
                let snapshot = cluster.reducer().snapshot();
                self.commits.step(record.step, &snapshot)?;
                self.rows.step(case, record)?;
                self.weights.step(case, record, &snapshot)?;
                self.weights.progress(case, cluster.machine().progress())
            }
            Record::Skipped { step, .. } => {
                let snapshot = cluster.reducer().snapshot();
                self.commits.step(*step, &snapshot)?;
                self.rows.skipped(case, step - 1)?;
                self.weights.snapshot(case, &snapshot)?;
                self.weights.progress(case, cluster.machine().progress())
            }
            Record::Evaluation { step, sums, .. } => {
                self.rows.evaluation(case, *step, sums)?;
                self.weights.evaluation(case, *step, sums)?;
                self.progress.evaluated(*step);
                Ok(())
            }
        }
    }
}
