//! What TLS costs: a step of mlp_small with and without it, in turns, and core-seconds a GB that travels.

use std::net::TcpListener;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::case::{Case, Settings};
use super::cluster::{self, Took};
use super::median;
use super::network::{self, Network};
use super::reducer::{self, Measured, Setting};
use crate::cluster::Process;

const WORKERS: u32 = 2;

/// Certificates for a cluster, as `lockstep certs init` makes them.
///
/// # Errors
/// The command fails.
pub(super) fn certificates(folder: &Path) -> Result<()> {
    let mut command = cluster::clean(std::process::Command::new(cluster::command()?));
    command.arg("certs").arg("init").arg(folder.join("certs")).args(["--name", network::HOST]);
    cluster::finish(command)
}

/// A coordinator and two workers, each a process, where the network's namespaces are or else here.
///
/// # Errors
/// The run fails, with its last words.
pub(super) fn took(network: Option<&Network>, folder: &Path, tls: bool) -> Result<Took> {
    let directory = folder.join("run");
    let lockstep = cluster::command()?;
    let address = match network {
        Some(_) => network::ADDRESS.to_owned(),
        // Free a moment ago.
        None => TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string(),
    };
    let certs = |process: &str| folder.join("certs").join(process).display().to_string();
    let protection = |process: &str| match tls {
        true => vec!["--certs".to_owned(), certs(process)],
        false => vec!["--insecure".to_owned()],
    };
    let before = cluster::core_seconds()?;
    let mut command = network::inside(network, "c", &lockstep);
    command.arg("coordinator").arg(folder.join("run.toml")).arg("--run-dir").arg(&directory);
    command.args(["--listen", &address, "--record-every", "1"]).args(protection("coordinator"));
    let mut coordinator = Process::start(command, "coordinator", folder);
    let mut workers: Vec<Process> = (1..=WORKERS)
        .map(|number| {
            let name = format!("w{number}");
            let mut command = network::inside(network, &name, &lockstep);
            command.args(["worker", "--coordinator", &address, "--wait", "30", "--name", &name]);
            command.args(protection("workers/worker"));
            Process::start(command, &name, folder)
        })
        .collect();
    let status = loop {
        if let Some(status) = coordinator.ended() {
            break status;
        }
        if workers.iter_mut().all(|worker| worker.ended().is_some()) {
            // The coordinator may only just have told them that the run is finished.
            sleep(Duration::from_secs(5));
            if coordinator.ended().is_none() {
                let errors: String = workers.iter().map(Process::errors).collect();
                bail!("all workers have ended before the run:\n{errors}");
            }
        }
        sleep(Duration::from_millis(20));
    };
    ensure!(status.success(), "lockstep coordinator: {status}\n{}", coordinator.errors());
    while workers.iter_mut().any(|worker| worker.ended().is_none()) {
        sleep(Duration::from_millis(5));
    }
    let core_seconds = cluster::core_seconds()? - before;
    let step_ms = cluster::median_step_ms(&directory)?;
    std::fs::remove_dir_all(&directory)?;
    Ok(Took { step_ms, core_seconds })
}

/// Steps of a case, with and without TLS in turns; medians of the rounds.
///
/// # Errors
/// A run fails, or the namespaces are not there.
pub fn steps(
    network: Option<&Network>,
    folder: &Path,
    case: &Case,
    settings: &Settings,
    rounds: usize,
    json: bool,
) -> Result<()> {
    let folder = folder.join("tls");
    std::fs::create_dir(&folder)?;
    case.write(&folder, settings)?;
    certificates(&folder)?;
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (of, tls) in all.iter_mut().zip([false, true]) {
            of.push(took(network, &folder, tls)?);
        }
    }
    let of = |figure: fn(&Took) -> f64| all.each_ref().map(|of| median(of.iter().map(figure).collect()));
    let ([plain, tls], [plain_cores, tls_cores]) = (of(|took| took.step_ms), of(|took| took.core_seconds));
    let more = 100.0 * (tls / plain - 1.0);
    if json {
        let line = json!({
            "case": "tls", "of": case.name, "workers": WORKERS, "bandwidth": network.map(|network| network.bandwidth),
            "plain_ms": plain, "tls_ms": tls, "plain_core_seconds": plain_cores, "tls_core_seconds": tls_cores,
        });
        println!("{line}");
    } else {
        println!(
            "{}, {WORKERS} workers, {}: a step takes {plain:.2} ms, and {tls:.2} over TLS ({more:+.1} %); the run \
             {plain_cores:.2} and {tls_cores:.2} core-seconds",
            case.name,
            if network.is_some() { "across the network" } else { "on the loopback" },
        );
    }
    Ok(())
}

/// What the reducer's bytes take, with and without TLS: gradients up and as many weights down.
///
/// # Errors
/// The coordinator fails.
pub fn per_gb(folder: &Path, steps: u64, rounds: usize, json: bool) -> Result<()> {
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (of, tls) in all.iter_mut().zip([false, true]) {
            let folder = folder.join("reducer");
            std::fs::create_dir(&folder)?;
            let optimizer = "{ sgd = { lr = 0.01, momentum = 0.9 } }";
            let every_steps = 1_000_000;
            let setting =
                Setting { senders: 8, steps, wire: "f32", optimizer, every_steps, slow: Duration::ZERO, tls };
            of.push(reducer::measure(&folder, setting).context("the reducer")?);
            std::fs::remove_dir_all(&folder)?;
        }
    }
    let of = |figure: fn(&Measured) -> f64| all.each_ref().map(|of| median(of.iter().map(figure).collect()));
    // Both directions.
    let [plain, tls] = of(|run| (run.coordinator_cpu + run.senders_cpu) / (2.0 * run.bytes) * 1e9);
    let [slow, fast] = of(|run| 2.0 * run.bytes / run.seconds / 1e9);
    if json {
        println!("{}", json!({ "case": "tls-per-gb", "plain": plain, "tls": tls, "more": tls - plain }));
    } else {
        println!(
            "core-seconds a GB that travels, both ends and the sums: {plain:.2}, and {tls:.2} over TLS: {:.2} more; \
             {slow:.2} and {fast:.2} GB/s",
            tls - plain
        );
    }
    Ok(())
}
