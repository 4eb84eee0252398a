//! What it costs that a share of the nodes is computed twice.

use std::path::Path;

use anyhow::{Context, Result};
use lockstep_core::run::spec::Wire;
use serde_json::json;

use super::case::{Case, Settings};
use super::{cluster, median};

/// Of the (step, node) pairs.
const SHARE: f64 = 0.1;

/// Prints a line for 2 and for 4 workers; steps with and without an audit alternate for so many rounds.
///
/// # Errors
/// A run fails.
pub fn run(folder: &Path, kernel: &str, steps: Option<usize>, rounds: usize, json: bool) -> Result<()> {
    let case = Case::named("mlp_small").context("mlp_small is a case")?;
    let steps = steps.unwrap_or(400);
    let folder = folder.join("audit");
    std::fs::create_dir(&folder)?;
    case.write(&folder, &Settings { shards: 8, wire: Wire::F32, kernel: kernel.to_owned(), steps })?;
    for workers in [2, 4] {
        let mut ratios = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            let [without, with] = [0.0, SHARE].map(|share| cluster::mean(&folder, workers, share));
            let (without, with) = (without?, with?);
            for (ratios, of) in ratios
                .iter_mut()
                .zip([|mean: &cluster::Mean| mean.step_ms, |mean: &cluster::Mean| mean.core_ms])
            {
                ratios.push(of(&with) / of(&without));
            }
        }
        let [time, cores] = ratios.map(median);
        if json {
            println!(
                "{}",
                json!({ "case": "audit", "share": SHARE, "workers": workers, "time": time, "core_time": cores })
            );
        } else {
            println!(
                "mlp_small, {workers} workers, audit = {SHARE}: {time:.3} times as long, {cores:.3} times the core-seconds"
            );
        }
    }
    Ok(())
}
