//! Real clusters: processes of the `lockstep` command on the loopback.
//!
//! A [`Site`] is a folder with a run file in which processes are started. Processes are addressed by
//! the handle of whoever started them and end with it. Nothing waits for a time: a wait ends when
//! something happened, and fails when nothing happens any more ([`wait`]).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a harness fails by panicking")]

mod binary;
#[cfg(feature = "otel")]
pub mod collector;
mod disk;
pub mod fake;
mod forge;
pub mod http;
pub mod knock;
mod oracle;
mod process;
mod proxy;
mod random;
mod raw;
mod run_file;
mod site;
pub mod wait;

pub use binary::lockstep;
pub use disk::Disk;
pub use forge::{Forge, Paper};
pub use oracle::Oracle;
pub use process::{Process, is_alive, workers_of};
pub use proxy::Proxy;
pub use random::Moments;
pub use raw::Raw;
pub use run_file::RunFile;
pub use site::Site;
