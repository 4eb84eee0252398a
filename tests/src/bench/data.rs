//! Data larger than memory: how fast training is beside the same rows held in memory, and how much memory
//! it takes.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use arrow_array::{ArrayRef, Float32Array, RecordBatch, UInt8Array};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use super::cluster::{command, finish, train};
use super::median;
use super::rows::Noise;
use crate::cluster::workers_of;

/// Numbers of a row, as in the case `tab`.
const COLUMNS: usize = 32;
/// Rows in a Parquet row group: 16 MiB of them.
const GROUP: usize = 1 << 17;
/// Rows of the files whose reading is timed: 195 MiB, more than [`IN_MEMORY`].
const ROWS: usize = 1_600_000;
const IN_MEMORY: &str = "128MiB";
/// So many that reading the first blocks, which nothing is done beside, hardly counts.
const EPOCHS: usize = 6;
const MIB: f64 = 1024.0 * 1024.0;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Csv,
    Parquet,
}

impl Format {
    const ALL: [Self; 2] = [Self::Csv, Self::Parquet];

    const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// Writes rows until there are so many, or so many bytes.
    fn write(self, path: &Path, most_rows: usize, most_bytes: u64) -> Result<usize> {
        match self {
            Self::Csv => csv(path, most_rows, most_bytes),
            Self::Parquet => parquet(path, most_rows, most_bytes),
        }
    }
}

/// Whole steps with rows held, and in blocks of each format: with the block cache, and without.
///
/// # Errors
/// A run fails.
pub fn speed(folder: &Path, kernel: &str, rounds: usize, json: bool) -> Result<()> {
    for format in Format::ALL {
        let file = folder.join(format!("rows.{}", format.name()));
        format.write(&file, ROWS, u64::MAX)?;
        let settings =
            [("held", "4GiB", ""), ("blocks", IN_MEMORY, ""), ("blocks, no cache", IN_MEMORY, "0")];
        let mut speeds = [const { Vec::new() }; 3];
        for round in 0..rounds {
            for ((_, in_memory, cache), speeds) in settings.iter().zip(&mut speeds) {
                write_run(folder, &file, kernel, in_memory, EPOCHS)?;
                let directory = folder.join(format!("run-{round}"));
                let mut command = train(&command()?, &folder.join("run.toml"), &directory, 2, 1);
                command.env("LOCKSTEP_CACHE", folder.join("cache"));
                if !cache.is_empty() {
                    command.env("LOCKSTEP_CACHE_BYTES", cache);
                }
                finish(command)?;
                let results: Value = serde_json::from_slice(&fs::read(directory.join("results.json"))?)?;
                let figure = |name: &str| results.get(name).and_then(Value::as_f64).context("no results");
                speeds.push(figure("samples")? / figure("train_seconds")?);
                fs::remove_dir_all(&directory)?;
            }
        }
        let speeds = speeds.map(median);
        for ((what, ..), speed) in settings.iter().zip(speeds) {
            let share = speed / speeds[0];
            if json {
                let line = json!({
                    "case": "data", "format": format.name(), "rows": what, "rows_per_second": speed, "of_held": share,
                });
                println!("{line}");
            } else {
                println!("{:<8} {what:<17} {speed:>10.0} rows/s {:>5.0} %", format.name(), 100.0 * share);
            }
        }
        fs::remove_file(&file)?;
    }
    Ok(())
}

/// The most that coordinator and workers hold while they train from a file of so many bytes.
///
/// # Errors
/// A run fails.
pub fn memory(folder: &Path, kernel: &str, gib: f64, steps: u64, json: bool) -> Result<()> {
    for format in Format::ALL {
        let file = folder.join(format!("rows.{}", format.name()));
        let rows = format.write(&file, usize::MAX, (gib * 1024.0 * MIB) as u64)?;
        let bytes = file.metadata()?.len() as f64 / MIB / 1024.0;
        write_run(folder, &file, kernel, "256MiB", 1)?;
        let directory = folder.join("run");
        let mut command = train(&command()?, &folder.join("run.toml"), &directory, 2, 1);
        command.env("LOCKSTEP_CACHE", folder.join("cache"));
        let began = Instant::now();
        let mut child = command.spawn()?;
        let mut peaks = Peaks::default();
        let mut first = None;
        while peaks.look(&mut child)? {
            let step = steps_done(&directory);
            if step > 0 {
                first = first.or(Some(began.elapsed()));
            }
            if step >= steps {
                kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT)?;
                child.wait()?;
                break;
            }
            sleep(Duration::from_millis(50));
        }
        let first = first.context("no step was done")?.as_secs_f64();
        let Peaks { coordinator, worker } = peaks;
        if json {
            let line = json!({
                "case": "data memory", "format": format.name(), "gib": bytes, "rows": rows,
                "coordinator_mib": coordinator, "worker_mib": worker, "seconds_to_first_step": first,
            });
            println!("{line}");
        } else {
            println!(
                "{:<8} {bytes:.1} GiB, {rows} rows: coordinator {coordinator:.0} MiB, a worker {worker:.0} MiB \
                 at most; first step after {first:.0} s",
                format.name()
            );
        }
        fs::remove_dir_all(&directory)?;
        fs::remove_dir_all(folder.join("cache"))?;
        fs::remove_file(&file)?;
    }
    Ok(())
}

/// Greatest resident memory, in MiB.
#[derive(Debug, Default)]
struct Peaks {
    coordinator: f64,
    worker: f64,
}

impl Peaks {
    /// Whether the run goes on.
    fn look(&mut self, child: &mut Child) -> Result<bool> {
        let pid = Pid::from_raw(child.id().cast_signed());
        self.coordinator = self.coordinator.max(high_water(pid));
        for worker in workers_of(pid) {
            self.worker = self.worker.max(high_water(worker));
        }
        let ended = child.try_wait()?;
        ensure!(ended.is_none_or(|status| status.success()), "the run failed");
        Ok(ended.is_none())
    }
}

/// `VmHWM`; 0 if the process is gone.
pub(super) fn high_water(pid: Pid) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

fn steps_done(directory: &Path) -> u64 {
    let text = fs::read_to_string(directory.join("metrics.jsonl")).unwrap_or_default();
    let last = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).next_back();
    last.and_then(|line| line.get("step")?.as_u64()).unwrap_or(0)
}

fn write_run(folder: &Path, file: &Path, kernel: &str, in_memory: &str, epochs: usize) -> Result<()> {
    let text = format!(
        r#"
name = "data"
data = {{ train = {file:?}, target = "y", in_memory = {in_memory:?} }}
cluster = {{ kernel = {kernel:?} }}
checkpoint = {{ every_steps = 1000000 }}

[model]
loss = "binary_cross_entropy"
layers = [{{ linear = 128 }}, "relu", {{ linear = 64 }}, "relu", {{ linear = 1 }}]

[train]
epochs = {epochs}
batch_size = 4096
optimizer = {{ sgd = {{ lr = 0.01, momentum = 0.9 }} }}
"#
    );
    fs::write(folder.join("run.toml"), text)?;
    Ok(())
}

/// Numbers with four digits after the point.
fn csv(path: &Path, most_rows: usize, most_bytes: u64) -> Result<usize> {
    let texts: Vec<String> =
        (0..4096).map(|i| format!("{:.4},", f64::from(i * 7919 % 40_009) / 10_000.0 - 2.0)).collect();
    let mut noise = Noise::new();
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let names: Vec<String> = (0..COLUMNS).map(|i| format!("x{i}")).collect();
    writeln!(out, "{},y", names.join(","))?;
    let (mut rows, mut bytes) = (0, 0);
    let mut line = Vec::new();
    while rows < most_rows && bytes < most_bytes {
        line.clear();
        for _ in 0..COLUMNS {
            line.extend_from_slice(texts.get((noise.next() >> 52) as usize).context("12 bits")?.as_bytes());
        }
        line.extend_from_slice(if noise.next() >> 63 == 0 { b"0\n" } else { b"1\n" });
        out.write_all(&line)?;
        rows += 1;
        bytes += line.len() as u64;
    }
    out.flush()?;
    Ok(rows)
}

/// 32-bit numbers that cannot be packed.
fn parquet(path: &Path, most_rows: usize, most_bytes: u64) -> Result<usize> {
    let mut noise = Noise::new();
    let mut batch = |rows: usize| -> Result<RecordBatch> {
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        for i in 0..COLUMNS {
            let values = (0..rows).map(|_| (noise.next() >> 40) as f32 / 4_194_304.0 - 2.0);
            columns.push((format!("x{i}"), Arc::new(Float32Array::from_iter_values(values))));
        }
        let labels = (0..rows).map(|_| (noise.next() >> 63) as u8);
        columns.push(("y".into(), Arc::new(UInt8Array::from_iter_values(labels))));
        Ok(RecordBatch::try_from_iter(columns)?)
    };
    let first = batch(GROUP.min(most_rows))?;
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_max_row_group_row_count(Some(GROUP))
        .build();
    let mut writer = ArrowWriter::try_new(File::create(path)?, first.schema(), Some(properties))?;
    let mut rows = first.num_rows();
    writer.write(&first)?;
    while rows < most_rows && (writer.bytes_written() as u64) < most_bytes {
        let more = batch(GROUP.min(most_rows - rows))?;
        rows += more.num_rows();
        writer.write(&more)?;
    }
    writer.close()?;
    Ok(rows)
}
