//! `make bench`: a start, a step's fixed cost, and whole steps beside the arithmetic floor.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use lockstep_core::run::spec::Wire;
use lockstep_core::{blas, run};
use lockstep_tests::bench::case::{CASES, Case, Settings};
use lockstep_tests::bench::machine::{self, Costs};
use lockstep_tests::bench::network::Network;
use lockstep_tests::bench::reducer::{self, Measured, Setting};
use lockstep_tests::bench::steps::{self, Line};
use lockstep_tests::bench::{audit, data, median, scale, shards, startup, tls, wire};
use serde_json::json;

/// Times starts and steps of local clusters, beside the arithmetic alone on two cores.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only this case: start, fixed, tab, mlp_small, mlp_mid, mlp_big or cnn; or one that is not run
    /// unless named: shards (8 on 2 workers beside 2), audit (a share of the nodes
    /// computed twice), bf16 (accuracy and bytes of both wires), reducer
    /// (its speed, fed by senders that compute nothing), memory (what it holds, beside its bound), data
    /// (rows held beside rows in blocks, from CSV and Parquet), data-memory (what processes hold while they
    /// train from files of --gib), scale (what joining, a step and memory take on 1 to 64 workers)
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// Steps that are timed [default: 10 to 100, by case]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Times that alternating measurements are repeated; their medians count
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Shards, 8 by default; "workers": as many as workers times threads
    #[arg(long, value_name = "S", default_value = "8")]
    shards: String,
    /// How gradients and weights travel: f32 or bf16
    #[arg(long, value_name = "WIRE", default_value = "f32", value_parser = wire_of)]
    wire: Wire,
    /// Workers x threads of the cases
    #[arg(long, value_name = "WxT", value_delimiter = ',', default_value = "1x1,1x2,2x1,4x1", value_parser = cluster_of)]
    clusters: Vec<(usize, usize)>,
    /// Predict no times, which needs runs of its own to learn what a byte costs
    #[arg(long)]
    no_prediction: bool,
    /// BLAS kernel of the runs and of the floor [default: the one of a run that names none]
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<String>,
    /// Run mlp_mid and mlp_big in the network namespaces PREFIX-c, -w1 and -w2: see scripts/bench_network.sh
    #[arg(long, value_name = "PREFIX", requires = "bandwidth")]
    namespaces: Option<String>,
    /// Bytes a second, each way, of the links between them
    #[arg(long, value_name = "BYTES", requires = "namespaces")]
    bandwidth: Option<f64>,
    /// What TLS costs: steps of mlp_small (or --case) with and without it, and the reducer's bytes
    #[arg(long)]
    tls: bool,
    /// Of the files of data-memory
    #[arg(long, value_name = "GIB", default_value_t = 2.0)]
    gib: f64,
    /// A JSON object a line: case, workers, threads, shards, batch, wire, ms, floor_ms, sharded_floor_ms,
    /// predicted_ms
    #[arg(long)]
    json: bool,
}

/// OpenBLAS reads its environment when it loads.
const KERNEL: &str = "OPENBLAS_CORETYPE";
const THREADS: &str = "OPENBLAS_NUM_THREADS";
/// This program was executed again; a second time would be no better.
const AGAIN: &str = "LOCKSTEP_BENCH_AGAIN";

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let kernel = arguments.kernel.as_deref().unwrap_or(run::default_kernel());
    pin(kernel)?;
    let folder = tempfile::tempdir()?;
    let Arguments { steps, json, .. } = arguments;
    if let Some((prefix, bandwidth)) = arguments.namespaces.clone().zip(arguments.bandwidth) {
        let network = Network { prefix, bandwidth };
        if arguments.tls {
            return tls_steps(&arguments, Some(&network), kernel, folder.path());
        }
        let settings = arguments.settings(kernel, 0, 2)?;
        return network.run(folder.path(), &settings, arguments.case.as_deref(), json);
    }
    if arguments.tls {
        if arguments.case.as_deref() != Some("reducer") {
            tls_steps(&arguments, None, kernel, folder.path())?;
        }
        return tls::per_gb(folder.path(), 10, arguments.rounds.into(), json);
    }
    match arguments.case.as_deref() {
        Some("shards") => return shards::run(folder.path(), kernel, steps, arguments.rounds.into(), json),
        Some("audit") => return audit::run(folder.path(), kernel, steps, arguments.rounds.into(), json),
        Some("bf16") => return wire::run(folder.path(), json),
        Some("scale") => return scale::run(folder.path(), kernel, steps.unwrap_or(200), json),
        Some("data") => return data::speed(folder.path(), kernel, arguments.rounds.into(), json),
        Some("data-memory") => {
            let steps = steps.unwrap_or(300) as u64;
            return data::memory(folder.path(), kernel, arguments.gib, steps, json);
        }
        Some("reducer") => return reducer_alone(folder.path(), steps.unwrap_or(10) as u64, json),
        Some("memory") => return memory(folder.path(), steps.unwrap_or(6) as u64),
        _ => {}
    }
    let wanted = |name: &str| arguments.case.as_deref().is_none_or(|only| only == name);
    let cases: Vec<&Case> = CASES.iter().filter(|case| wanted(case.name)).collect();
    if cases.is_empty() && !wanted("start") && !wanted("fixed") {
        bail!("no such case; see --help");
    }
    if wanted("start") && !json {
        start(folder.path())?;
    }
    if wanted("fixed") {
        fixed(folder.path(), steps.unwrap_or(1000), json)?;
    }
    if !cases.is_empty() {
        lines(&cases, &arguments, kernel, folder.path())?;
    }
    Ok(())
}

/// Steps of mlp_small, or of the case that was named.
fn tls_steps(arguments: &Arguments, network: Option<&Network>, kernel: &str, folder: &Path) -> Result<()> {
    let name = arguments.case.as_deref().unwrap_or("mlp_small");
    let case = Case::named(name).context("no such case; see --help")?;
    let settings = arguments.settings(kernel, arguments.steps.unwrap_or(case.steps), 2)?;
    tls::steps(network, folder, case, &settings, arguments.rounds.into(), arguments.json)
}

/// Gradients of 25 million parameters, summed for as many senders as there are shards.
fn reducer_alone(folder: &Path, steps: u64, json: bool) -> Result<()> {
    const TIMES: usize = 3;
    let optimizer = "{ sgd = { lr = 0.01, momentum = 0.9 } }";
    for wire in ["f32", "bf16"] {
        let slow = Duration::ZERO;
        let setting =
            Setting { senders: 8, steps, wire, optimizer, every_steps: 1_000_000, slow, tls: false };
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
        let setting =
            Setting { senders: SENDERS, steps, wire: "f32", optimizer, every_steps, slow, tls: false };
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
    let ms = machine::fixed_ms(folder, steps)?;
    if json {
        println!("{}", json!({ "case": "fixed", "workers": 1, "threads": 1, "batch": 1, "ms": ms }));
    } else {
        println!("a step's fixed cost, 1 worker, 1 parameter: {ms:.3} ms");
    }
    Ok(())
}

fn lines(cases: &[&'static Case], arguments: &Arguments, kernel: &str, folder: &Path) -> Result<()> {
    let costs = if arguments.no_prediction { None } else { Some(Costs::measure(folder, kernel)?) };
    if !arguments.json {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!("load before: {}", load.split(' ').next().unwrap_or_default());
        if let Some(Costs { byte, fixed }) = costs {
            println!(
                "a byte costs {:.2} core-seconds a GB, a step {:.3} ms; kernel {kernel}",
                1e9 * byte,
                1e3 * fixed
            );
        }
        println!("{}", steps::HEADER);
    }
    for case in cases {
        for (workers, threads) in arguments.clusters.iter().copied() {
            let steps = arguments.steps.unwrap_or(case.steps);
            let settings = arguments.settings(kernel, steps, workers * threads)?;
            let line = Line::measure(case, (workers, threads), &settings, costs, folder)?;
            if arguments.json { println!("{}", line.json()) } else { println!("{}", line.text()) }
        }
    }
    Ok(())
}

impl Arguments {
    fn settings(&self, kernel: &str, steps: usize, threads: usize) -> Result<Settings> {
        let shards = match self.shards.as_str() {
            "workers" => threads,
            number => number.parse().context("--shards takes a number or \"workers\"")?,
        };
        Ok(Settings { shards, wire: self.wire, kernel: kernel.to_owned(), steps })
    }
}

fn wire_of(text: &str) -> Result<Wire, String> {
    match text {
        "f32" => Ok(Wire::F32),
        "bf16" => Ok(Wire::Bf16),
        _ => Err("f32 or bf16".into()),
    }
}

fn cluster_of(text: &str) -> Result<(usize, usize), String> {
    let number = |text: &str| text.parse().ok().filter(|number| (1..=1024).contains(number));
    let both = text.split_once('x').and_then(|(workers, threads)| number(workers).zip(number(threads)));
    both.ok_or_else(|| "workers x threads such as 2x1".into())
}
