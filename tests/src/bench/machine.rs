//! What this machine needs for a byte and for a step, measured on runs that do little else.

use std::path::Path;

use anyhow::Result;
use lockstep_core::cost::Machines;
use lockstep_core::run::spec::Wire;

use super::case::{self, Case, Settings};
use super::cluster::{self, Took};
use super::floor::{self, CORES};

/// mlp_mid's 5.8 M parameters, with a row for each of two shards.
const BYTES: Case = Case { name: "bytes", channels: &[], widths: &[784, 2048, 2048, 10], batch: 2, steps: 0 };

/// Steps of the shorter and of the longer run.
const STEPS: [usize; 2] = [10, 50];

/// Steps of the smallest run.
const SMALLEST_STEPS: usize = 1000;

/// What a step and its bytes cost, whatever is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Core-seconds of a byte of gradient or weight, from worker to sum to update to worker.
    pub byte: f64,
    /// Seconds of a step with one parameter.
    pub fixed: f64,
}

impl Costs {
    /// Measures both, in new folders below `folder`.
    ///
    /// # Errors
    /// A run fails.
    pub fn measure(folder: &Path, kernel: &str) -> Result<Self> {
        Ok(Self { byte: byte(folder, kernel)?, fixed: fixed_ms(folder, SMALLEST_STEPS)? / 1e3 })
    }

    /// This machine, for a case whose shards have so many rows.
    pub fn machines(self, case: &Case, rows: usize, threads: u32) -> Machines {
        Machines {
            flops: floor::flops(case, rows),
            values: Machines::VALUES,
            threads,
            bandwidth: None,
            cores: Some(CORES as u32),
            byte_cost: self.byte,
            fixed: self.fixed,
        }
    }
}

/// Milliseconds of a step of one worker with one parameter.
///
/// # Errors
/// The run fails.
pub fn fixed_ms(folder: &Path, steps: usize) -> Result<f64> {
    let folder = folder.join("fixed");
    std::fs::create_dir(&folder)?;
    case::write_smallest(&folder, steps)?;
    let ms = cluster::step_ms(&folder, 1, 1)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(ms)
}

/// By the difference between two runs of which one is longer, so that their starts cancel.
fn byte(folder: &Path, kernel: &str) -> Result<f64> {
    let core_seconds = |steps: usize| -> Result<f64> {
        let folder = folder.join(format!("bytes-{steps}"));
        std::fs::create_dir(&folder)?;
        BYTES.write(&folder, &Settings { shards: 2, wire: Wire::F32, kernel: kernel.to_owned(), steps })?;
        let Took { core_seconds, .. } = cluster::took(&folder, 2, 1)?;
        std::fs::remove_dir_all(&folder)?;
        Ok(core_seconds)
    };
    let [short, long] = STEPS;
    let parameters: usize = BYTES.products().iter().map(|layer| (layer.terms + 1) * layer.outputs).sum();
    // Two gradients up, the weights to two workers.
    let bytes = 4 * 4 * parameters * BYTES.steps_in_file(long).abs_diff(BYTES.steps_in_file(short));
    Ok((core_seconds(long)? - core_seconds(short)?) / bytes as f64)
}
