//! The run directory: what a run leaves on disk, and how it goes on from there.
//!
//! ```text
//! run.toml              as resolved; a directory with it holds a run
//! starts                how often a coordinator has started, stored before it is used
//! env.json              versions, numerics, the first worker's fingerprint, BLAS, host
//! metrics.jsonl         a line a step and evaluation   ┐ cut back to the checkpoint
//! digests.jsonl         a line a milestone, a chain    ┘ that a resume goes on from
//! checkpoint-<step>/    model.safetensors  optimizer.safetensors  state.json  manifest.json
//! model.safetensors     the final weights; with run file and encoder, enough to evaluate and predict
//! best.safetensors      those of the best evaluation, where checkpoint.best names a metric
//! results.json          the end
//! lockstep.log
//! ```
//!
//! Whatever is replaced is written beside its place, synced and renamed: nothing is ever half-written
//! under a name that is read. A checkpoint that cannot be read is never removed, only renamed to
//! `checkpoint-<step>.damaged`.

mod catalog;
mod checkpoint;
mod digests;
mod directory;
mod environment;
mod error;
#[cfg(test)]
mod fault;
mod files;
mod lines;
mod manifest;
mod model_file;
mod moments;
mod results;
#[cfg(test)]
mod tests;

pub use catalog::read_catalog;
pub use checkpoint::{Checkpoint, checkpoints, digest_of, open_checkpoint};
pub use digests::{DigestLine, Recorded, read_digests};
pub use directory::{Identity, Opened, RunDirectory, check};
pub use environment::{Environment, read_environment};
pub use error::{Damage, StoreError};
pub use model_file::{ModelFile, kind_of, open_best, open_model, target_of};
pub use results::{Bytes, Results, Trained, Workers};

/// A checkpoint's four files and the run directory's others.
pub(crate) mod names {
    pub(crate) const MODEL: &str = "model.safetensors";
    pub(crate) const OPTIMIZER: &str = "optimizer.safetensors";
    pub(crate) const STATE: &str = "state.json";
    pub(crate) const MANIFEST: &str = "manifest.json";
    pub(crate) const BEST: &str = "best.safetensors";
    pub(crate) const RUN: &str = "run.toml";
    pub(crate) const STARTS: &str = "starts";
    pub(crate) const ENVIRONMENT: &str = "env.json";
    pub(crate) const DATA: &str = "data.json";
    pub(crate) const METRICS: &str = "metrics.jsonl";
    pub(crate) const DIGESTS: &str = "digests.jsonl";
    pub(crate) const RESULTS: &str = "results.json";
    pub(crate) const LOG: &str = "lockstep.log";
}
