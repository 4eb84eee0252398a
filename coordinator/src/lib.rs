//! The coordinator: who is in the run, what is computed by whom, sums, updates, checkpoints.
//!
//! [`cluster`] is all of it without I/O: [`machine`] decides, [`reducer`] sums and updates, each pure.

pub mod cluster;
pub mod ledger;
pub mod machine;
pub mod notice;
pub mod progress;
pub mod reducer;
pub mod store;
