//! How far a run is: what a checkpoint keeps besides tensors, and what is reported.

use std::fmt;

use lockstep_core::metrics::Sums;
use lockstep_core::spike::Recent;
use serde::{Deserialize, Serialize};

use crate::reducer::Committed;
use crate::watch::Watch;

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps that are done.
    pub step: u64,
    /// Rows that were trained on.
    pub samples: u64,
    /// Σ row losses of the epoch at hand, and their weight.
    pub epoch_loss: (f64, f64),
    /// Mean training loss of the last whole epoch.
    pub last_epoch_loss: Option<f64>,
    /// Time inside training steps.
    pub train_seconds: f64,
    /// Workers that took part, over all starts.
    pub joined: u64,
    /// Workers that were lost.
    pub lost: u64,
    /// Steps that were left out, because their numbers were not finite.
    #[serde(default)]
    pub skipped: Vec<u64>,
    /// Losses that `train.loss_spike` compares the next with.
    #[serde(default)]
    pub recent_losses: Recent,
    /// What a second computation of the same found.
    #[serde(default)]
    pub audit: Audit,
    /// W(step) is to be evaluated before the next step.
    pub evaluation_due: bool,
    /// The newest evaluation.
    pub evaluation: Option<Evaluation>,
    /// The best evaluation by `checkpoint.best`.
    pub best: Option<Watch>,
    /// The best evaluation by `train.early_stopping`.
    pub patience: Option<Watch>,
    /// The step of the newest checkpoint that need not be written again, if this start wrote or read it.
    #[serde(skip)]
    pub saved_step: Option<u64>,
}

/// What a second computation of the same found, over all starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Pairs of step and node that two workers computed alike.
    pub pairs: u64,
    /// Workers whose numbers were not what two others computed.
    pub put_out: Vec<Wrong>,
}

/// A worker that computed wrong numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrong {
    /// Its name.
    pub worker: String,
    /// Where it ran.
    pub host: String,
    /// Its processor's model.
    pub cpu: String,
    /// Its numerics.
    pub numerics: String,
    /// In this step.
    pub step: u64,
    /// For these shards.
    pub shards: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worker, host, cpu, numerics, step, shards } = self;
        write!(
            f,
            "worker {worker} (host {host}, {cpu}, {numerics}) computed other numbers for shards {shards} in \
             step {step} than two others"
        )
    }
}

/// One evaluation of the validation rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Of W(step).
    pub step: u64,
    /// Over all pieces, in order.
    pub sums: Sums,
}

impl Progress {
    pub(crate) fn commit(&mut self, committed: &Committed, seconds: f64, steps_per_epoch: u64) {
        self.step = committed.step + 1;
        if committed.skipped {
            self.skipped.push(committed.step);
        }
        self.samples += committed.summary.rows;
        self.train_seconds += seconds;
        self.epoch_loss.0 += committed.summary.loss;
        self.epoch_loss.1 += committed.summary.weight;
        if self.step.is_multiple_of(steps_per_epoch.max(1)) {
            let (loss, weight) = std::mem::take(&mut self.epoch_loss);
            self.last_epoch_loss = (weight > 0.0).then_some(loss / weight);
        }
    }

    /// The epoch of the last step that is done, counted from 1; 0 before the first.
    pub fn epoch(&self, steps_per_epoch: u64) -> u64 {
        self.step.div_ceil(steps_per_epoch.max(1))
    }
}

/// A line of metrics.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A step is done.
    Step(StepRecord),
    /// A step was left out.
    Skipped {
        /// Steps that are done.
        step: u64,
        /// The step's epoch, counted from 1.
        epoch: u64,
    },
    /// An evaluation is done.
    Evaluation {
        /// Of W(step).
        step: u64,
        /// The last epoch.
        epoch: u64,
        /// Over all pieces, in order.
        sums: Sums,
    },
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRecord {
    /// Steps that are done.
    pub step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// The step's epoch, counted from 1.
    pub epoch: u64,
    /// Mean over the step's rows.
    pub loss: f64,
    /// Learning rate.
    pub lr: f64,
    /// Of the gradient before clipping, where clipping is on.
    pub norm: Option<f64>,
    /// In the step.
    pub rows: u64,
    /// It took so long.
    pub seconds: f64,
    /// Active workers.
    pub workers: usize,
}
