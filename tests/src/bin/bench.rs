//! `make bench`: a start, a step's fixed cost, and whole steps beside the arithmetic floor.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use lockstep_core::{blas, run};
use lockstep_tests::bench::case::{self, CASES, Case};
use lockstep_tests::bench::reducer::{self, Measured, Setting};
use lockstep_tests::bench::{cluster, floor, median, startup};
use serde_json::json;

/// Times starts and steps of local clusters, beside the arithmetic alone on two cores.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only this case: start, fixed, tab, mlp_small, mlp_mid, mlp_big, reducer or memory
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// Steps that are timed [default: 10 to 100, by case]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Shards, 8 by default; "workers": as many as workers times threads
    #[arg(long, value_name = "S", default_value = "8")]
    shards: String,
    /// BLAS kernel of the runs and of the floor [default: the one of a run that names none]
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<String>,
    /// A JSON object a line: case, workers, threads, shards, batch, ms, floor_ms, sharded_floor_ms
    #[arg(long)]
    json: bool,
}

/// (workers, threads)
const CLUSTERS: [(usize, usize); 4] = [(1, 1), (1, 2), (2, 1), (4, 1)];

/// OpenBLAS reads its environment when it loads.
const KERNEL: &str = "OPENBLAS_CORETYPE";
const THREADS: &str = "OPENBLAS_NUM_THREADS";
/// This program was executed again; a second time would be no better.
const AGAIN: &str = "LOCKSTEP_BENCH_AGAIN";

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let kernel = arguments.kernel.as_deref().unwrap_or(run::default_kernel());
    pin(kernel)?;
    let wanted = |name: &str| arguments.case.as_deref().is_none_or(|only| only == name);
    let cases: Vec<&Case> = CASES.iter().filter(|case| wanted(case.name)).collect();
    let others = ["start", "fixed", "reducer", "memory"];
    if cases.is_empty() && !others.into_iter().any(wanted) {
        bail!("no such case; see --help");
    }
    let folder = tempfile::tempdir()?;
    if wanted("start") && !arguments.json {
        start(folder.path())?;
    }
    if wanted("fixed") {
        fixed(folder.path(), arguments.steps.unwrap_or(1000), arguments.json)?;
    }
    if !arguments.json && !cases.is_empty() {
        println!(
            "{:<10} {:>5} {:>6} {:>7} {:>7} {:>9} {:>9} {:>11} {:>6}",
            "case", "rows", "shards", "workers", "threads", "ms", "floor ms", "in shards", "ratio"
        );
    }
    for case in cases {
        steps(case, &arguments, folder.path())?;
    }
    if wanted("reducer") {
        reducer_alone(folder.path(), arguments.steps.unwrap_or(10) as u64, arguments.json)?;
    }
    if wanted("memory") && !arguments.json {
        memory(folder.path(), arguments.steps.unwrap_or(6) as u64)?;
    }
    Ok(())
}

/// Gradients of 25 million parameters, summed for as many senders as there are shards.
fn reducer_alone(folder: &Path, steps: u64, json: bool) -> Result<()> {
    const TIMES: usize = 3;
    let optimizer = "{ sgd = { lr = 0.01, momentum = 0.9 } }";
    for wire in ["f32", "bf16"] {
        let slow = Duration::ZERO;
        let setting = Setting { senders: 8, steps, wire, optimizer, every_steps: 1_000_000, slow };
        let runs = (0..TIMES).map(|_| once(folder, setting)).collect::<Result<Vec<_>>>()?;
        let of = |figure: fn(&Measured) -> f64| median(runs.iter().map(figure).collect());
        let speed = of(|run| run.bytes / run.seconds / 1e9);
        let coordinator = of(|run| run.coordinator_cpu / run.bytes * 1e9);
        let senders = of(|run| run.senders_cpu / run.bytes * 1e9);
        if json {
            let line = json!({
                "case": "reducer", "senders": 8, "wire": wire, "gb_per_second": speed,
                "coordinator_core_seconds_per_gb": coordinator, "senders_core_seconds_per_gb": senders,
            });
            println!("{line}");
        } else {
            println!(
                "the reducer alone, 8 senders, {wire}: {speed:.2} GB/s of gradients; core-seconds a GB: \
                 coordinator {coordinator:.2}, senders {senders:.2}"
            );
        }
    }
    Ok(())
}

/// What the coordinator holds with 16 senders, of which one is slow, beside what it may.
fn memory(folder: &Path, steps: u64) -> Result<()> {
    const SENDERS: u32 = 16;
    for (every_steps, when) in [(1_000_000, "without a checkpoint"), (2, "with checkpoints")] {
        let slow = Duration::from_millis(5);
        let optimizer = "{ adamw = { lr = 1e-3 } }";
        let setting = Setting { senders: SENDERS, steps, wire: "f32", optimizer, every_steps, slow };
        let Measured { parameters, memory, .. } = once(folder, setting)?;
        let bound = reducer::bound(parameters, SENDERS, every_steps < steps);
        let [held, bound] = [memory, bound].map(|bytes| bytes / f64::from(1 << 20));
        println!(
            "memory, {SENDERS} senders, {parameters} parameters, {when}: {held:.0} MiB, and at most {bound:.0}"
        );
    }
    Ok(())
}

fn once(folder: &Path, setting: Setting) -> Result<Measured> {
    let folder = folder.join("reducer");
    std::fs::create_dir(&folder)?;
    let measured = reducer::measure(&folder, setting)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(measured)
}

/// The kernel and the one thread that workers run under, by executing this program again.
fn pin(kernel: &str) -> Result<()> {
    if blas::kernel() == kernel && blas::threads() == 1 {
        return Ok(());
    }
    if std::env::var_os(AGAIN).is_some() {
        bail!("{} does not run {kernel} on one thread", blas::library());
    }
    let mut again = Command::new(std::env::current_exe()?);
    let failed =
        again.args(std::env::args_os().skip(1)).env(KERNEL, kernel).env(THREADS, "1").env(AGAIN, "1").exec();
    Err(failed).context("cannot execute again")
}

fn start(folder: &Path) -> Result<()> {
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("examples").join("digits.toml");
    let startup::Startup { first_step, whole } = startup::measure(&digits, &folder.join("digits"))?;
    println!("digits on 2 workers: first step after {first_step:.2?}, finished after {whole:.2?}");
    Ok(())
}

fn fixed(folder: &Path, steps: usize, json: bool) -> Result<()> {
    let folder = folder.join("fixed");
    std::fs::create_dir(&folder)?;
    case::write_smallest(&folder, steps)?;
    let ms = cluster::step_ms(&folder, 1, 1)?;
    if json {
        println!("{}", json!({ "case": "fixed", "workers": 1, "threads": 1, "batch": 1, "ms": ms }));
    } else {
        println!("a step's fixed cost, 1 worker, 1 parameter: {ms:.3} ms");
    }
    Ok(())
}

fn steps(case: &Case, arguments: &Arguments, folder: &Path) -> Result<()> {
    let steps = arguments.steps.unwrap_or(case.steps);
    for (workers, threads) in CLUSTERS {
        let shards = match arguments.shards.as_str() {
            "workers" => workers * threads,
            number => number.parse().context("--shards takes a number or \"workers\"")?,
        };
        let folder = folder.join(format!("{}-{workers}-{threads}", case.name));
        std::fs::create_dir(&folder)?;
        case.write(&folder, u32::try_from(shards)?, &blas::kernel(), steps)?;
        // The floor beside each cluster: the machine may have changed its mind in between.
        let floor_ms = floor::floor_ms(case, 2);
        let sharded_floor_ms = floor::floor_ms(case, shards);
        let ms = cluster::step_ms(&folder, workers, threads)?;
        std::fs::remove_dir_all(&folder)?;
        let Case { name, batch, .. } = case;
        if arguments.json {
            let line = json!({
                "case": name, "workers": workers, "threads": threads, "shards": shards, "batch": batch,
                "ms": ms, "floor_ms": floor_ms, "sharded_floor_ms": sharded_floor_ms,
            });
            println!("{line}");
        } else {
            println!(
                "{name:<10} {batch:>5} {shards:>6} {workers:>7} {threads:>7} {ms:>9.2} {floor_ms:>9.2} {sharded_floor_ms:>11.2} {:>6.2}",
                ms / floor_ms
            );
        }
    }
    Ok(())
}
