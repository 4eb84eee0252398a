//! A run as it is meant: every default filled in, every relation checked.

mod data;
mod model;
mod train;

use crate::metrics::Metric;

pub use data::*;
pub use model::*;
pub use train::*;

/// A run, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The run's name: letters, digits, `-`, `_` and `.`; names its directory. `run` by default.
    pub name: String,
    /// Where every random number of the run comes from, 0 by default.
    pub seed: u64,
    /// `[data]`
    pub data: Data,
    /// `[model]`
    pub model: Model,
    /// `[train]`
    pub train: Train,
    /// `[cluster]`
    pub cluster: Cluster,
    /// `[checkpoint]`
    pub checkpoint: Checkpoint,
}

/// What the cluster must agree on, and how it is held together; no number depends on its size.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Parts of an epoch's rows, 8 by default.
    pub shards: u32,
    /// How gradients and weights travel.
    pub wire: Wire,
    /// The BLAS kernel, `Haswell` by default on x86-64.
    pub kernel: String,
    /// Whether workers that compute other bits are refused.
    pub numerics: Numerics,
    /// Milliseconds between two signs of life; three missed ones end a session. 1000 by default.
    pub heartbeat_ms: u64,
    /// No step begins with fewer workers. 1 by default.
    pub min_workers: u32,
    /// The share of (step, node) pairs that are computed by a second worker too and compared. 0 by default.
    pub audit: f64,
}

/// How gradients and weights travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// As they are.
    F32,
    /// Rounded to bfloat16, to nearest even: half the bytes.
    Bf16,
}

/// Whether workers that compute other bits are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numerics {
    /// A worker whose fingerprint differs from the run's is refused.
    Strict,
    /// It is accepted, and the promise of equal bits is gone.
    Relaxed,
}

/// When checkpoints are written and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Steps between two checkpoints, 200 by default.
    pub every_steps: u64,
    /// Seconds after which there is one between them.
    pub every_seconds: Option<u64>,
    /// How many of the newest stay, 3 by default.
    pub keep: usize,
    /// By which the best one stays too.
    pub best: Option<Metric>,
}
