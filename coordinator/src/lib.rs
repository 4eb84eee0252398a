//! The coordinator: who is in the run, what is computed by whom, sums, updates, checkpoints.
//!
//! [`cluster`] is all of it without I/O: [`machine`] decides, [`reducer`] sums and updates, each pure.

pub mod assemble;
mod calls;
mod clock;
pub mod cluster;
pub mod datasets;
pub mod door;
pub mod driver;
pub mod ledger;
pub mod machine;
pub mod notice;
pub mod outbox;
mod phases;
pub mod progress;
pub mod reducer;
pub mod refusals;
mod run;
mod service;
mod serving;
pub mod store;
pub mod view;
pub mod watch;

pub use phases::Trace;
pub use run::{Coordinator, Stopper};
