//! Local clusters: `lockstep train` as a user starts it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value;

use super::case::WARM_UP;
use super::median;

/// What a run took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Took {
    /// The median step in milliseconds, the first few left out.
    pub step_ms: f64,
    /// Core-seconds of all its processes, from start to end.
    pub core_seconds: f64,
}

/// The command, which is built beside this program.
///
/// # Errors
/// It is not there.
pub fn command() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("lockstep");
    ensure!(path.exists(), "{} is not there: cargo build --release -p lockstep-cli", path.display());
    Ok(path)
}

/// The command as in a user's shell: it pins the library's environment itself.
pub fn clean(mut command: Command) -> Command {
    for pinned in ["OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS"] {
        command.env_remove(pinned);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// `lockstep train` of a run file on so many local workers of so many threads; every step is recorded.
pub fn train(command: &Path, run: &Path, directory: &Path, workers: usize, threads: usize) -> Command {
    let mut train = clean(Command::new(command));
    train.arg("train").arg(run).arg("--run-dir").arg(directory).args(["--record-every", "1"]);
    train.args(["--workers", &workers.to_string(), "--threads", &threads.to_string()]);
    train
}

/// Runs a command to its end.
///
/// # Errors
/// It fails, with its last words.
pub fn finish(mut command: Command) -> Result<()> {
    let done = command.output()?;
    if !done.status.success() {
        bail!("{command:?}: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}

/// The median step of a run in `folder`, in milliseconds, the first few left out.
///
/// # Errors
/// The run fails, with its last words.
pub fn step_ms(folder: &Path, workers: usize, threads: usize) -> Result<f64> {
    Ok(took(folder, workers, threads)?.step_ms)
}

/// What a run in `folder` takes.
///
/// # Errors
/// The run fails, with its last words.
pub fn took(folder: &Path, workers: usize, threads: usize) -> Result<Took> {
    let directory = folder.join(format!("run-{workers}-{threads}"));
    let before = core_seconds()?;
    finish(train(&command()?, &folder.join("run.toml"), &directory, workers, threads))?;
    let core_seconds = core_seconds()? - before;
    let step_ms = median_step_ms(&directory)?;
    std::fs::remove_dir_all(&directory)?;
    Ok(Took { step_ms, core_seconds })
}

/// What a step takes in the mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// Milliseconds, the first few steps left out.
    pub step_ms: f64,
    /// Core-milliseconds of all processes, their start and end too.
    pub core_ms: f64,
}

/// A run in `folder` on workers of one thread, of which so large a share is computed twice.
///
/// # Errors
/// The run fails, with its last words.
pub fn mean(folder: &Path, workers: usize, audit: f64) -> Result<Mean> {
    let directory = folder.join(format!("run-{workers}"));
    let before = core_seconds()?;
    let mut command = train(&command()?, &folder.join("run.toml"), &directory, workers, 1);
    command.args(["--set", &format!("cluster.audit={audit}")]);
    finish(command)?;
    let core_seconds = core_seconds()? - before;
    let seconds = step_seconds(&directory)?;
    std::fs::remove_dir_all(&directory)?;
    let steps = seconds.len() as f64;
    let timed = &seconds[WARM_UP..];
    let step_ms = 1e3 * timed.iter().sum::<f64>() / timed.len() as f64;
    Ok(Mean { step_ms, core_ms: 1e3 * core_seconds / steps })
}

/// The median step that a run directory tells of, in milliseconds, the first few left out.
///
/// # Errors
/// There are no steps in it.
pub fn median_step_ms(directory: &Path) -> Result<f64> {
    Ok(1e3 * median(step_seconds(directory)?.split_off(WARM_UP)))
}

/// What each step took: more than are left out.
fn step_seconds(directory: &Path) -> Result<Vec<f64>> {
    let path = directory.join("metrics.jsonl");
    let lines = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let seconds = lines.lines().map(|line| Ok(serde_json::from_str::<Value>(line)?["seconds"].as_f64()));
    let seconds: Vec<f64> = seconds.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    ensure!(seconds.len() > WARM_UP, "{}: {} steps are too few", path.display(), seconds.len());
    Ok(seconds)
}

/// Of all processes that were started from here and have ended, and of those that they waited for.
pub(super) fn core_seconds() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + 1e-6 * time.tv_usec() as f64;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}
