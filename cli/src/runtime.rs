//! The runtime of commands that wait for one thing at a time.

use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;

/// On the calling thread alone.
///
/// # Errors
/// The system refuses.
pub fn current_thread() -> Result<Runtime, Failure> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::failed(format!("no runtime: {error}")))
}
