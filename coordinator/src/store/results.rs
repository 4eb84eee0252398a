//! `results.json`: the end of a run, for programs.

use lockstep_core::digest::Digest;
use lockstep_core::metrics::{Kind, Report};
use lockstep_core::numerics;
use lockstep_data::Skipped;
use serde::{Deserialize, Serialize};

use crate::progress::{Audit, Progress};
use crate::watch::Watch;

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Of W(steps) and the optimizer.
    pub digest: Digest,
    /// Of the whole run.
    pub steps: u64,
    /// Epochs, the last perhaps begun only.
    pub epochs: u64,
    /// Bad rows of the data, which were left out (`data.on_bad_row`).
    #[serde(default)]
    pub rows_skipped: Skipped,
    /// Rows that were trained on, each as often as it was.
    pub samples: u64,
    /// From this start to the end.
    pub wall_seconds: f64,
    /// Inside training steps, over all starts.
    pub train_seconds: f64,
    /// `samples / train_seconds`
    pub samples_per_second: f64,
    /// Of the last whole epoch.
    pub train: Trained,
    /// Of the newest evaluation; absent without validation rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Report>,
    /// The best evaluation by `checkpoint.best`; absent without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Watch>,
    /// Over all starts.
    pub workers: Workers,
    /// Of gradients and weights, in this start.
    pub bytes: Bytes,
    /// Under which the coordinator ran.
    pub numerics: String,
}

/// What the training rows gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Mean over the rows of the last whole epoch, each at the weights of its step.
    pub loss: Option<f64>,
}

/// How many workers there were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workers {
    /// That took part.
    pub joined: u64,
    /// That were lost.
    pub lost: u64,
    /// What `cluster.audit` found; absent if nothing was computed twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
}

/// Payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// Gradients, from workers.
    pub up: u64,
    /// Weights, to workers.
    pub down: u64,
}

impl Results {
    /// At the end of a run, whose rows were all good.
    pub fn new(
        progress: &Progress,
        digest: Digest,
        steps_per_epoch: u64,
        kind: Kind,
        wall_seconds: f64,
        bytes: Bytes,
    ) -> Self {
        let &Progress { step, samples, train_seconds, last_epoch_loss, joined, lost, best, .. } = progress;
        // A run without steps took no time.
        let samples_per_second = if train_seconds > 0.0 { samples as f64 / train_seconds } else { 0.0 };
        Self {
            digest,
            steps: step,
            epochs: progress.epoch(steps_per_epoch),
            rows_skipped: Skipped::default(),
            samples,
            wall_seconds,
            train_seconds,
            samples_per_second,
            train: Trained { loss: last_epoch_loss },
            validation: progress.evaluation.and_then(|evaluation| evaluation.sums.report(kind)),
            best,
            workers: Workers {
                joined,
                lost,
                audit: Some(progress.audit.clone()).filter(|audit| *audit != Audit::default()),
            },
            bytes,
            numerics: numerics::name(),
        }
    }
}
