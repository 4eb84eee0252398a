//! `lockstep verify`: whether a run directory's record is true.
//!
//! ```text
//! run.toml, rows ──▶ inputs ── are they those that digests.jsonl begins from?
//! digests.jsonl  ──▶ chain ─── does every line continue those before it?
//! checkpoints, models ──────── are they whole, and do they have the digests of the chain?
//! steps A..B ──▶ computed again from the nearest checkpoint: do they give the same digests?
//! ```
//!
//! It never writes into the run directory.

mod finding;
mod range;
mod record;
mod rerun;

use std::path::{Path, PathBuf};

use lockstep_coordinator::assemble;
use lockstep_coordinator::datasets::Datasets;
use lockstep_coordinator::store::read_catalog;
use lockstep_core::model::Model;
use lockstep_core::numerics;
use lockstep_core::run::spec::{Numerics, Source, Validation};
use lockstep_core::threads::Threads;
use serde_json::json;

use crate::environment;
use crate::failure::Failure;
use crate::print;
use finding::{Finding, What};
use range::Steps;
use record::Record;
use rerun::{Bench, Rerun};

/// Arguments of `lockstep verify`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A run directory
    #[arg(value_name = "RUN_DIR")]
    path: PathBuf,
    /// Compute the steps from A up to B again, beginning at the nearest checkpoint [default: all]
    #[arg(long, value_name = "A..B")]
    steps: Option<Steps>,
    /// The folder from which the run file's relative paths start [default: where the run file was]
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// Compute threads; the result does not depend on it
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Compares, and says what differs.
///
/// # Errors
/// Something differs (1); the steps asked for are not there (2); run file, data or machine do not allow
/// it (78).
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut record = Record::read(&arguments.path)?;
    let mut done = None;
    if record.same_meaning() {
        environment::pin(&record.run.cluster.kernel)?;
        let base = arguments.base.clone().unwrap_or_else(|| record.environment.base.clone());
        if let Some((rows, model)) = inputs(&mut record, &base)? {
            same_machine(&record, &rows, &model)?;
            let (from, to) = range(&record, arguments.steps.unwrap_or_default())?;
            let bench = Bench::new(&record, model, rows)?;
            let threads = Threads::new(arguments.threads.into()).map_err(Failure::failed)?;
            done = Some(bench.run(&mut record, from, to, threads)?);
        }
    }
    report(&record, done, arguments.json)
}

/// Rows and model, if they are those that the run began with.
fn inputs(record: &mut Record, base: &Path) -> Result<Option<(Datasets, Model)>, Failure> {
    let run = &record.run;
    let rows =
        lockstep_data::load(&run.data, lockstep_data::Goal::of(run), run.seed, base).map_err(Failure::bad)?;
    let rows = Datasets::new(rows);
    let found = assemble::inputs(run, &rows.catalog);
    let train = file(&run.data.train, base);
    let validation = match &run.data.validation {
        Validation::Source(source) => file(source, base),
        _ => train.clone(),
    };
    if !record.compare_inputs(&found, (&train, &validation)) {
        name_change(record, base);
        return Ok(None);
    }
    let model = assemble::model(&record.run, &rows).map_err(Failure::bad)?;
    Ok(Some((rows, model)))
}

/// Says which rows have changed, if that is what differs and the run has a catalog.
fn name_change(record: &mut Record, base: &Path) {
    let stored = read_catalog(&record.path).ok().flatten();
    let Record { run, findings, .. } = record;
    let Some(finding) = findings.iter_mut().find(|finding| finding.what == What::Data) else { return };
    match stored.map(|stored| lockstep_data::find_change(&stored, &run.data, run.seed, base)) {
        Some(Ok(Some((_, change)))) => finding.text += &format!(": {change}"),
        Some(Err(why)) => finding.text = why.to_string(),
        _ => {}
    }
}

fn file(source: &Source, base: &Path) -> String {
    match source {
        Source::File(path) => base.join(path).display().to_string(),
        Source::Idx { images, labels } => {
            format!("{} and {}", base.join(images).display(), base.join(labels).display())
        }
    }
}

/// Only a machine of the run's numerics can tell whether its digests are true.
fn same_machine(record: &Record, rows: &Datasets, model: &Model) -> Result<(), Failure> {
    let Some(stored) = &record.environment.fingerprint else { return Ok(()) };
    let here = numerics::fingerprint(&record.run, model, assemble::target(rows), rows.train.rows());
    let here: String = here.iter().map(|byte| format!("{byte:02x}")).collect();
    if here == stored.hash {
        return Ok(());
    }
    let text = format!(
        "this machine ({}) computes other bits than the run's first worker ({}): verify on a machine of the \
         run's numerics",
        numerics::name(),
        stored.numerics
    );
    if record.run.cluster.numerics == Numerics::Relaxed {
        print::note(format!("note: {text}"));
        return Ok(());
    }
    Err(Failure::bad(text))
}

/// Where to begin and to end: at a checkpoint or step 0, and at a recorded digest.
fn range(record: &Record, steps: Steps) -> Result<(u64, u64), Failure> {
    let points = record.points();
    let Some(last) = points.keys().next_back().copied() else {
        return Err(Failure::bad(format!("{}: no digest is recorded yet", record.path.display())));
    };
    let (from, to) = (steps.from.unwrap_or(0), steps.to.unwrap_or(last));
    if from >= last || to > last {
        let text = format!("--steps {from}..{to}: the newest recorded digest is that of step {last}");
        return Err(Failure::usage(text));
    }
    let begin = record.checkpoints.range(..=from).next_back().map_or(0, |(step, _)| *step);
    if begin == 0 && from > 0 {
        print::note(format!("no checkpoint at or before step {from} is kept: beginning at step 0"));
    }
    let end = points.range(to..).next().map_or(last, |(step, _)| *step);
    Ok((begin, end))
}

fn report(record: &Record, done: Option<Rerun>, json: bool) -> Result<(), Failure> {
    let Record { path, run, environment, findings, .. } = record;
    if json {
        let rerun = done.map(|Rerun { from, to, equal }| json!({ "from": from, "to": to, "equal": equal }));
        print::json(&json!({
            "run": run.name,
            "verified": findings.is_empty(),
            "numerics": environment.numerics,
            "steps": rerun,
            "findings": findings,
        }))?;
    } else {
        print::text(&text(record, done))?;
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err(Failure::failed(format!("{}: 1 difference", path.display()))),
        count => Err(Failure::failed(format!("{}: {count} differences", path.display()))),
    }
}

fn text(record: &Record, done: Option<Rerun>) -> String {
    let Record { path, run, environment, findings, .. } = record;
    let mut facts = vec![
        ("run", format!("{} ({})", run.name, path.display())),
        ("numerics", environment.numerics.clone()),
        ("recorded", format!("{} digests, {} checkpoints", record.lines.len(), record.checkpoints.len())),
    ];
    facts.push(match done {
        None => ("steps", "not computed again: what they begin from has changed".to_owned()),
        Some(Rerun { from, to, equal }) => {
            ("steps", format!("{from} to {to} computed again; {equal} recorded digests are equal"))
        }
    });
    let verified = if findings.is_empty() { "yes" } else { "no" };
    facts.push(("verified", verified.to_owned()));
    let differences = findings.iter().map(|Finding { text, .. }| format!("differs: {text}\n"));
    print::list(&facts) + &differences.collect::<String>()
}
