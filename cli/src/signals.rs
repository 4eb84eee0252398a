//! The first SIGINT, SIGTERM or SIGUSR1 asks to end in order; a second one of the first two ends at once.
//! Slurm sends SIGUSR1 before a job's time limit (`--signal`), and may send it again.

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Resolves at the first signal. From then on, a second one ends the process with 130 or 143.
///
/// # Errors
/// If the system does not let signals be handled.
pub fn first() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let failed = |error| Failure::failed(format!("cannot handle signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut limit = signal(SignalKind::user_defined1()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = limit.recv() => {}
        }
        crate::service_manager::stopping();
        tokio::spawn(async move {
            let code = tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            };
            std::process::exit(code);
        });
    })
}
