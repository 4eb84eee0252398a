//! Local clusters: `lockstep train` as a user starts it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::case::WARM_UP;
use super::median;

/// The command, which is built beside this program.
///
/// # Errors
/// It is not there.
pub fn command() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("lockstep");
    ensure!(path.exists(), "{} is not there: cargo build --release -p lockstep-cli", path.display());
    Ok(path)
}

/// `lockstep train` of a run file on so many local workers of so many threads; every step is recorded.
pub fn train(command: &Path, run: &Path, directory: &Path, workers: usize, threads: usize) -> Command {
    let mut train = Command::new(command);
    train.arg("train").arg(run).arg("--run-dir").arg(directory);
    train.args(["--workers", &workers.to_string(), "--threads", &threads.to_string()]);
    // As in a user's shell: the command pins the library's environment itself.
    for pinned in ["OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS"] {
        train.env_remove(pinned);
    }
    train.args(["--record-every", "1"]).stdout(Stdio::null()).stderr(Stdio::piped());
    train
}

/// The median step of a run in `folder`, in milliseconds, the first few left out.
///
/// # Errors
/// The run fails, with its last words.
pub fn step_ms(folder: &Path, workers: usize, threads: usize) -> Result<f64> {
    let directory = folder.join(format!("run-{workers}-{threads}"));
    let done = train(&command()?, &folder.join("run.toml"), &directory, workers, threads).output()?;
    if !done.status.success() {
        bail!("lockstep train: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr));
    }
    let seconds = seconds(&directory)?;
    std::fs::remove_dir_all(&directory)?;
    Ok(1e3 * median(seconds.into_iter().skip(WARM_UP).collect()))
}

/// What each step of a run took.
fn seconds(directory: &Path) -> Result<Vec<f64>> {
    let path = directory.join("metrics.jsonl");
    let lines = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let seconds = lines.lines().map(|line| Ok(serde_json::from_str::<Value>(line)?["seconds"].as_f64()));
    Ok(seconds.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}
