//! What it costs to cut a batch into more shards than there are workers: 8 shards on 2 workers beside 2.

use std::path::Path;

use anyhow::{Context, Result};
use lockstep_core::run::spec::Wire;
use serde_json::json;

use super::case::{Case, Settings};
use super::{cluster, median};

/// Rows in each of 8 shards, and how much slower than 2 shards of the same batch a step may be.
const TARGETS: [(usize, f64); 2] = [(64, 1.30), (256, 1.10)];

/// Prints a line for each target; 8 and 2 shards alternate for so many rounds.
///
/// # Errors
/// A run fails.
pub fn run(folder: &Path, kernel: &str, steps: Option<usize>, rounds: usize, json: bool) -> Result<()> {
    let mid = Case::named("mlp_mid").context("mlp_mid is a case")?;
    for (rows, target) in TARGETS {
        let case = Case { batch: 8 * rows, ..*mid };
        let mut ms = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (shards, ms) in [8, 2].into_iter().zip(&mut ms) {
                let folder = folder.join("shards");
                std::fs::create_dir(&folder)?;
                let steps = steps.unwrap_or(case.steps);
                case.write(&folder, &Settings { shards, wire: Wire::F32, kernel: kernel.to_owned(), steps })?;
                ms.push(cluster::step_ms(&folder, 2, 1)?);
                std::fs::remove_dir_all(&folder)?;
            }
        }
        let [eight, two] = ms.map(median);
        if json {
            let line = json!({
                "case": "shards", "rows_a_shard": rows, "batch": case.batch, "ms_8_shards": eight,
                "ms_2_shards": two, "ratio": eight / two, "target": target,
            });
            println!("{line}");
        } else {
            println!(
                "mlp_mid [{}], 2 workers: 8 shards of {rows} rows {eight:.1} ms, 2 shards {two:.1} ms; {:.2}x (at most {target:.2}x)",
                case.batch,
                eight / two
            );
        }
    }
    Ok(())
}
