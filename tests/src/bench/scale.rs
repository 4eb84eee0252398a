//! What more workers cost a star: the time until all have joined, a step, the coordinator's memory.
//!
//! All processes share this machine and the model is tiny, so a step is what the star itself takes:
//! messages, waking, sums of 64 small gradients.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::Pid;
use serde_json::json;

use super::cluster::{clean, command, median_step_ms};
use super::data::high_water;

/// Workers of a line.
const WORKERS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// As many as the most workers.
const SHARDS: usize = 64;

/// Prints a line for each number of workers.
///
/// # Errors
/// A run fails.
pub fn run(folder: &Path, kernel: &str, steps: usize, json: bool) -> Result<()> {
    if !json {
        println!("workers  all joined after  a step  coordinator's memory");
    }
    for workers in WORKERS {
        let folder = folder.join(format!("scale-{workers}"));
        fs::create_dir(&folder)?;
        let Measured { joined, step_ms, mib } = measure(&folder, kernel, steps, workers)?;
        if json {
            let line = json!({
                "case": "scale", "workers": workers, "joined_seconds": joined, "ms": step_ms, "coordinator_mib": mib,
            });
            println!("{line}");
        } else {
            println!("{workers:>7}  {joined:>14.2} s  {step_ms:>5.2} ms  {mib:>8.1} MiB");
        }
    }
    Ok(())
}

struct Measured {
    /// Seconds from the first worker's start to the first step, which waits for all of them.
    joined: f64,
    step_ms: f64,
    /// The most that the coordinator held.
    mib: f64,
}

fn measure(folder: &Path, kernel: &str, steps: usize, workers: usize) -> Result<Measured> {
    write_run(folder, kernel, steps, workers)?;
    let program = command()?;
    let directory = folder.join("run");
    let mut coordinate = clean(Command::new(&program));
    coordinate.arg("coordinator").arg(folder.join("run.toml")).arg("--run-dir").arg(&directory);
    coordinate.args(["--listen", "127.0.0.1:0", "--record-every", "1"]);
    let mut coordinator = Ended(coordinate.spawn()?);
    let address = address(&mut coordinator.0)?;

    let began = Instant::now();
    let mut others = Vec::with_capacity(workers);
    for number in 0..workers {
        let mut work = clean(Command::new(&program));
        work.args(["worker", "--coordinator", &address, "--name", &format!("w{number}")]);
        others.push(Ended(work.stderr(Stdio::null()).spawn()?));
    }
    let pid = Pid::from_raw(coordinator.0.id().cast_signed());
    let (mut joined, mut mib) = (None, 0.0f64);
    let status = loop {
        mib = mib.max(high_water(pid));
        if joined.is_none() && fs::metadata(directory.join("metrics.jsonl")).is_ok_and(|file| file.len() > 0)
        {
            joined = Some(began.elapsed().as_secs_f64());
        }
        if let Some(status) = coordinator.0.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    ensure!(status.success(), "the coordinator: {status}");
    for worker in &mut others {
        ensure!(worker.0.wait()?.success(), "a worker failed");
    }
    Ok(Measured { joined: joined.context("no step was done")?, step_ms: median_step_ms(&directory)?, mib })
}

/// A process that ends with its handle.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a coordinator listens, as it says; the rest of what it says is read away.
fn address(coordinator: &mut Child) -> Result<String> {
    let mut lines = BufReader::new(coordinator.stderr.take().context("stderr")?).lines();
    for line in lines.by_ref() {
        if let Some((_, rest)) = line?.split_once("listening on ") {
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(rest.split(';').next().unwrap_or_default().to_owned());
        }
    }
    bail!("the coordinator does not listen");
}

fn write_run(folder: &Path, kernel: &str, steps: usize, workers: usize) -> Result<()> {
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("examples").join("digits-train.csv");
    // 1,437 rows in batches of 256.
    let epochs = steps.div_ceil(6);
    let text = format!(
        r#"
name = "scale"
data = {{ train = {digits:?}, target = "label" }}
cluster = {{ kernel = {kernel:?}, shards = {SHARDS}, min_workers = {workers} }}
checkpoint = {{ every_steps = 1000000 }}

[model]
loss = "cross_entropy"
layers = [{{ linear = 32 }}, "relu", {{ linear = 10 }}]

[train]
epochs = {epochs}
batch_size = 256
optimizer = {{ sgd = {{ lr = 0.01, momentum = 0.9 }} }}
"#
    );
    fs::write(folder.join("run.toml"), text)?;
    Ok(())
}
