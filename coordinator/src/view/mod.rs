//! What can be seen of a coordinator from outside, as plain data.
//!
//! The driver gathers and publishes it ([`Publisher`]); machine and reducer know nothing of it. Whoever
//! looks takes the newest ([`Window`]) and disturbs nobody.

mod publish;
mod tally;

use std::collections::BTreeMap;

use lockstep_core::metrics::Report;
use lockstep_proto::message::Outcome;
use serde::{Deserialize, Serialize};

pub use publish::{Published, Publisher, Window, channel};
pub(crate) use tally::Tally;

/// What a coordinator is doing, and with whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct View {
    /// The run's name.
    pub run: String,
    /// Lockstep's version.
    pub version: String,
    /// Version of the wire contract.
    pub protocol: u32,
    /// Architecture, BLAS kernel and arithmetic version under which the coordinator runs.
    pub numerics: String,
    /// What is being done.
    pub state: State,
    /// How the run ended; empty until then.
    pub ended: String,
    /// Steps that are done.
    pub step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Epoch of the last step that is done, counted from 1.
    pub epoch: u64,
    /// Epochs of the whole run.
    pub epochs: u64,
    /// Mean over the rows of the last step.
    pub loss: Option<f64>,
    /// Of the last step.
    pub learning_rate: Option<f64>,
    /// The newest evaluation.
    pub validation: Option<Report>,
    /// Rows that were trained on, over all starts.
    pub samples: u64,
    /// Over the last steps.
    pub samples_per_second: Option<f64>,
    /// Time inside training steps, over all starts.
    pub train_seconds: f64,
    /// Steps that this process has done.
    pub steps_done: u64,
    /// Steps that were left out.
    pub steps_skipped: u64,
    /// Where this process's time went.
    pub seconds: Seconds,
    /// Everyone who is here.
    pub workers: Vec<Worker>,
    /// Workers that took part, over all starts.
    pub workers_joined: u64,
    /// Workers that were lost, over all starts.
    pub workers_lost: u64,
    /// Payload bytes of gradients and weights.
    pub bytes: Bytes,
    /// Messages that were refused, by reason.
    pub refused_messages: BTreeMap<String, u64>,
    /// Workers that were refused or put out, by reason.
    pub refused_workers: BTreeMap<String, u64>,
    /// Nodes of the tree that were computed more than once.
    pub nodes: Nodes,
    /// What was written to disk.
    pub checkpoints: Checkpoints,
}

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Data are read; nobody can join yet.
    #[default]
    Preparing,
    /// For workers, or for a checkpoint's write.
    Waiting,
    /// A step is open.
    Training,
    /// An evaluation is open.
    Evaluating,
    /// Asked to end: the last checkpoint is being written.
    Stopping,
    /// All steps are done.
    Finished,
    /// To be resumed.
    Stopped,
    /// An error ended it.
    Failed,
}

impl State {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Preparing,
        Self::Waiting,
        Self::Training,
        Self::Evaluating,
        Self::Stopping,
        Self::Finished,
        Self::Stopped,
        Self::Failed,
    ];

    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Waiting => "waiting",
            Self::Training => "training",
            Self::Evaluating => "evaluating",
            Self::Stopping => "stopping",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Whether workers may come.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Training | Self::Evaluating)
    }

    /// Whether the run is over.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Finished | Self::Stopped | Self::Failed)
    }
}

impl From<Outcome> for State {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Finished => Self::Finished,
            Outcome::Stopped => Self::Stopped,
            Outcome::Failed => Self::Failed,
        }
    }
}

/// Seconds of the driver, each counted in one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seconds {
    /// No step was open: too few workers, or a checkpoint's write.
    pub waiting: f64,
    /// A step was open, and no gradient of it was here.
    pub computing: f64,
    /// Gradients of a step came in, were added, and weights were updated.
    pub reducing: f64,
    /// An evaluation was open.
    pub evaluating: f64,
}

/// A worker's session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its processor's model.
    pub cpu: String,
    /// Its numerics.
    pub numerics: String,
    /// Whether it takes part.
    pub state: Standing,
    /// Compute threads.
    pub threads: u32,
    /// The shards that are assigned to it, ascending.
    pub shards: Vec<u32>,
    /// As measured; absent before it has computed.
    pub shards_per_second: Option<f64>,
    /// Since something came from it.
    pub last_seen_seconds: f64,
}

/// Whether a worker takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It takes rows and builds the model.
    #[default]
    Joining,
    /// It takes part.
    Active,
    /// So it does, but its answer takes longer than usual.
    Late,
    /// It wants to go.
    Leaving,
}

impl Standing {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Joining, Self::Active, Self::Late, Self::Leaving];

    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Active => "active",
            Self::Late => "late",
            Self::Leaving => "leaving",
        }
    }
}

/// Payload bytes, in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bytes {
    /// Gradients, from workers.
    pub up: u64,
    /// Weights, to workers.
    pub down: u64,
}

/// Nodes of the tree that were computed more than once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Nodes {
    /// Again, because their worker was lost; in this process.
    pub recomputed: u64,
    /// By two workers, alike; over all starts.
    pub audited: u64,
}

/// What was written to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checkpoints {
    /// The newest one's step, if this process wrote or read one.
    pub step: Option<u64>,
    /// Since this process wrote one.
    pub age_seconds: Option<f64>,
    /// That this process wrote.
    pub written: u64,
    /// That could not be written.
    pub failed: u64,
    /// That their writing took, off the steps' path.
    pub write_seconds: f64,
}
