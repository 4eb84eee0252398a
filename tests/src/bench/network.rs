//! A coordinator and two workers in network namespaces, which `scripts/bench_network.sh` has made and
//! joined by links of one speed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use lockstep_core::cost;
use lockstep_core::run::spec::Wire;
use serde_json::json;

use super::arithmetic::{self, Arithmetic};
use super::case::{Case, Settings};
use super::cluster;
use super::steps::wire_name;
use super::tls;
use super::wire::{received, sent};

/// Timed steps of each case: some take seconds.
const CASES: [(&str, usize); 2] = [("mlp_mid", 10), ("mlp_big", 5)];

const WORKERS: u32 = 2;

/// A step may take so much longer than its arithmetic and its bytes, overlapped.
const TARGET: f64 = 1.2;

/// Of the coordinator, as the script sets it.
pub(super) const ADDRESS: &str = "10.77.0.1:29500";

/// The same without its port.
pub(super) const HOST: &str = "10.77.0.1";

/// The device in each namespace.
const DEVICE: &str = "eth0";

/// The namespaces PREFIX-c, PREFIX-w1 and PREFIX-w2, and the links' bytes a second each way.
#[derive(Clone, Debug)]
pub struct Network {
    /// Of their names.
    pub prefix: String,
    /// Bytes a second each way.
    pub bandwidth: f64,
}

impl Network {
    /// Runs the cases with both wires and prints a line each.
    ///
    /// # Errors
    /// A run fails, or the namespaces are not there.
    pub fn run(&self, folder: &Path, settings: &Settings, only: Option<&str>, json: bool) -> Result<()> {
        if !json {
            println!(
                "case        rows shards wire    step ms  forward backward transfer | overlapped x{TARGET}     met | in sequence"
            );
        }
        for (name, steps) in CASES.into_iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
            let case = Case::named(name).context(name)?;
            for wire in [Wire::F32, Wire::Bf16] {
                let settings = Settings { wire, steps, ..settings.clone() };
                self.case(case, &folder.join(format!("{name}-{}", wire_name(wire))), &settings, json)?;
            }
        }
        Ok(())
    }

    fn case(&self, case: &Case, folder: &Path, settings: &Settings, json: bool) -> Result<()> {
        std::fs::create_dir(folder)?;
        case.write(folder, settings)?;
        let loaded = arithmetic::load(folder)?;
        let Arithmetic { forward, backward } = arithmetic::measure(&loaded, WORKERS)?;
        let nodes: usize = arithmetic::shares(&loaded.run, WORKERS).iter().map(Vec::len).sum();
        let vector = cost::vector(&loaded.run, &loaded.model);
        let (up, down) = (nodes as f64 * vector, f64::from(WORKERS) * vector);
        let before = self.device()?;
        let step = tls::took(Some(self), folder, false)?.step_ms / 1e3;
        let after = self.device()?;
        let steps = case.steps_in_file(settings.steps) as f64;
        let counted = (after.0 - before.0).max(after.1 - before.1) / steps;
        let overlapped = forward + backward.max(up.max(down) / self.bandwidth);
        let in_sequence = forward + backward + (up + down) / self.bandwidth;
        let target = TARGET * overlapped;
        if json {
            let line = json!({
                "case": case.name, "wire": wire_name(settings.wire), "batch": case.batch,
                "shards": settings.shards, "seconds": step, "forward": forward, "backward": backward,
                "bytes_up": up, "bytes_down": down, "counted_bytes_busier": counted,
                "overlapped": overlapped, "target": target, "in_sequence": in_sequence,
            });
            println!("{line}");
            return Ok(());
        }
        println!(
            "{:<10} {:>5} {:>6} {:>4} {:>10.1} {:>8.1} {:>8.1} {:>8.1} | {:>16.1} {:>7} | {:>11.1}",
            case.name,
            case.batch,
            settings.shards,
            wire_name(settings.wire),
            1e3 * step,
            1e3 * forward,
            1e3 * backward,
            1e3 * up.max(down) / self.bandwidth,
            1e3 * target,
            if step <= target { "yes" } else { "no" },
            1e3 * in_sequence
        );
        println!(
            "           {:.1} MB a step in the busier direction, {:.1} counted at the coordinator's device",
            up.max(down) / 1e6,
            counted / 1e6
        );
        Ok(())
    }

    /// Bytes that the coordinator's device has received and sent.
    fn device(&self) -> Result<(f64, f64)> {
        let done = inside(Some(self), "c", Path::new("cat")).arg("/proc/net/dev").output()?;
        let text = String::from_utf8_lossy(&done.stdout);
        let both = received(&text, DEVICE).zip(sent(&text, DEVICE));
        both.with_context(|| format!("namespace {}-c has no device {DEVICE}", self.prefix))
    }
}

/// A program in one of the namespaces, or here.
pub(super) fn inside(network: Option<&Network>, name: &str, program: &Path) -> Command {
    let mut command = match network {
        Some(network) => {
            let mut command = cluster::clean(Command::new("ip"));
            command.args(["netns", "exec", &format!("{}-{name}", network.prefix)]).arg(program);
            command
        }
        None => cluster::clean(Command::new(program)),
    };
    command.stdout(std::process::Stdio::piped());
    command
}
