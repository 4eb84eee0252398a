//! From the command to its first step, and to its end.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::cluster;

/// Of one `lockstep train`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Startup {
    /// Until the first step was recorded, to about a millisecond.
    pub first_step: Duration,
    /// Until the command had ended.
    pub whole: Duration,
}

/// Runs a run file to its end on two local workers.
///
/// # Errors
/// The run fails, with its last words.
pub fn measure(run: &Path, directory: &Path) -> Result<Startup> {
    let metrics = directory.join("metrics.jsonl");
    let mut train = cluster::train(&cluster::command()?, run, directory, 2, 1);
    let start = Instant::now();
    let mut child = train.spawn()?;
    let mut first_step = None;
    let status = loop {
        if first_step.is_none() && std::fs::metadata(&metrics).is_ok_and(|file| file.len() > 0) {
            first_step = Some(start.elapsed());
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let whole = start.elapsed();
    match (status.success(), first_step) {
        (true, Some(first_step)) => Ok(Startup { first_step, whole }),
        _ => {
            let done = child.wait_with_output()?;
            bail!("lockstep train: {status}\n{}", String::from_utf8_lossy(&done.stderr))
        }
    }
}
