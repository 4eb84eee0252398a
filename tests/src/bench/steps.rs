//! Whole steps of the cases, beside the floor and beside what [`lockstep_core::cost`] predicts.

use std::path::Path;

use anyhow::Result;
use lockstep_core::cost::Prediction;
use lockstep_core::run::spec::Wire;
use serde_json::{Value, json};

use super::arithmetic;
use super::case::{Case, Settings};
use super::cluster;
use super::floor;
use super::machine::Costs;

/// One case on one cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    case: &'static Case,
    workers: usize,
    threads: usize,
    shards: usize,
    wire: Wire,
    ms: f64,
    floor_ms: f64,
    sharded_floor_ms: f64,
    predicted_ms: Option<f64>,
}

/// Of the lines in words.
pub const HEADER: &str =
    "case        rows wire shards workers threads        ms  floor ms in shards  ratio predicted   off";

impl Line {
    /// Runs a case; with `costs`, its time is predicted too.
    ///
    /// # Errors
    /// The run fails.
    pub fn measure(
        case: &'static Case,
        (workers, threads): (usize, usize),
        settings: &Settings,
        costs: Option<Costs>,
        folder: &Path,
    ) -> Result<Self> {
        let Settings { shards, wire, .. } = *settings;
        let folder = folder.join(format!("{}-{workers}-{threads}", case.name));
        std::fs::create_dir(&folder)?;
        case.write(&folder, settings)?;
        // The floor beside each cluster: the machine may have changed its mind in between.
        let floor_ms = floor::floor_ms(case, floor::CORES);
        let sharded_floor_ms = floor::floor_ms(case, shards);
        let predicted = |costs: Costs| -> Result<f64> {
            let loaded = arithmetic::load(&folder)?;
            let machines = costs.machines(case, case.batch / shards, u32::try_from(threads)?);
            let shares = arithmetic::shares(&loaded.run, u32::try_from(workers)?);
            Ok(1e3 * Prediction::new(&loaded.run, &loaded.model, &shares, &machines).step())
        };
        let predicted_ms = costs.map(predicted).transpose()?;
        let ms = cluster::step_ms(&folder, workers, threads)?;
        std::fs::remove_dir_all(&folder)?;
        Ok(Self { case, workers, threads, shards, wire, ms, floor_ms, sharded_floor_ms, predicted_ms })
    }

    /// Milliseconds of a step.
    pub fn ms(&self) -> f64 {
        self.ms
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let Self { case, workers, threads, shards, ms, floor_ms, sharded_floor_ms, predicted_ms, .. } = self;
        json!({
            "case": case.name, "workers": workers, "threads": threads, "shards": shards, "batch": case.batch,
            "wire": wire_name(self.wire), "ms": ms, "floor_ms": floor_ms, "sharded_floor_ms": sharded_floor_ms,
            "predicted_ms": predicted_ms,
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let Self { case, workers, threads, shards, ms, floor_ms, sharded_floor_ms, predicted_ms, .. } = self;
        let (Case { name, batch, .. }, wire) = (case, wire_name(self.wire));
        let predicted = predicted_ms.map_or(String::new(), |predicted| {
            format!(" {predicted:>9.2} {:>+4.0}%", 100.0 * (predicted / ms - 1.0))
        });
        format!(
            "{name:<10} {batch:>5} {wire:>4} {shards:>6} {workers:>7} {threads:>7} {ms:>9.2} {floor_ms:>9.2} \
             {sharded_floor_ms:>9.2} {:>6.2}{predicted}",
            ms / floor_ms
        )
    }
}

/// As in a run file.
pub fn wire_name(wire: Wire) -> &'static str {
    match wire {
        Wire::F32 => "f32",
        Wire::Bf16 => "bf16",
    }
}
