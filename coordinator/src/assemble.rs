//! A cluster from a run, its rows and where it stands.

use std::time::Duration;

use lockstep_core::chain::Inputs;
use lockstep_core::chunks::Chunks;
use lockstep_core::digest::Digest;
use lockstep_core::epoch::Plan;
use lockstep_core::evaluation;
use lockstep_core::metrics::{Kind, Metric};
use lockstep_core::model::{Model, ShapeError, Target};
use lockstep_core::numerics::PIECE_ROWS;
use lockstep_core::optimizer::Optimizer;
use lockstep_core::run::{self, spec::Run};
use lockstep_core::threads::Threads;
use lockstep_data::{Catalog, Rows, TargetType};
use lockstep_proto::settings::GRANT_WINDOW;

use crate::cluster::Cluster;
use crate::datasets::Datasets;
use crate::machine::{Config, Fingerprint, Machine, Watched};
use crate::progress::Progress;
use crate::reducer::{Reducer, State};

/// Where a run stands when its coordinator starts.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// How often its coordinator has started, this time counted.
    pub start: u32,
    /// What the run's first worker computed.
    pub fingerprint: Option<Fingerprint>,
    /// A checkpoint to go on from.
    pub checkpoint: Option<From>,
}

/// A checkpoint to go on from.
#[derive(Clone, Debug)]
pub struct From {
    /// How far the run is.
    pub progress: Progress,
    /// W(step)
    pub weights: Vec<f32>,
    /// After as many steps.
    pub optimizer: Optimizer<f32>,
}

/// The network of a run over these rows.
///
/// # Errors
/// If layers do not fit the rows, each other or the loss.
pub fn model(run: &Run, rows: &Datasets) -> Result<Model, ShapeError> {
    let shape = rows.train.shape();
    Model::embedding(&run.model, &shape.sample, &shape.embeddings, target(rows))
}

/// What the rows are labelled with.
pub fn target(rows: &Datasets) -> Target {
    match rows.train.shape().targets {
        TargetType::Classes(classes) => Target::Classes(classes as usize),
        TargetType::Values(width) => Target::Values(width),
        TargetType::Absent => Target::Values(0),
    }
}

/// What the run's digests follow from.
pub fn inputs(run: &Run, catalog: &Catalog) -> Inputs {
    let validation = catalog.validation.as_ref().map(|rows| Digest::from_bytes(rows.digest()));
    // With the names of columns and classes.
    let mut train = catalog.encoder.to_json().into_bytes();
    train.extend_from_slice(&catalog.train.digest());
    Inputs::new(run, Digest::of(&train), validation)
}

/// A metric that the run file names and that its model does not have: its key and its name.
pub fn foreign_metric(run: &Run, rows: &Datasets) -> Option<(&'static str, Metric)> {
    let kind = evaluation::kind(target(rows));
    let best = run.checkpoint.best.map(|metric| ("checkpoint.best", metric));
    let early = run.train.early_stopping.map(|stopping| ("train.early_stopping.metric", stopping.metric));
    [best, early].into_iter().flatten().find(|(_, metric)| !metric.is_of(kind))
}

/// Steps of the whole run.
pub fn total_steps(run: &Run, rows: &Datasets) -> u64 {
    plan(run, rows).steps_per_epoch().saturating_mul(run.train.epochs)
}

/// Steps, shards and rows of an epoch.
pub fn plan(run: &Run, rows: &Datasets) -> Plan {
    Plan::new(rows.train.rows(), run.cluster.shards, run.train.batch_size)
}

/// The cluster, ready for its first input; `kind` is what is reported of an evaluation.
pub fn cluster(run: &Run, model: &Model, rows: &Datasets, kind: Kind, standing: Standing) -> Cluster {
    let plan = plan(run, rows);
    let total_steps = total_steps(run, rows);
    let json = |rows: &Rows| serde_json::to_string(&rows.shape()).unwrap_or_default();
    let pieces = rows.validation.as_ref().map_or(0, |table| table.rows().div_ceil(PIECE_ROWS as u64));
    let config = Config {
        plan,
        total_steps,
        evaluate_every: run.train.evaluate_every.unwrap_or(plan.steps_per_epoch()).max(1),
        pieces: u32::try_from(pieces).unwrap_or(u32::MAX),
        save_every: run.checkpoint.every_steps.max(1),
        save_after: run.checkpoint.every_seconds.map(Duration::from_secs),
        watched: Watched { kind, best: run.checkpoint.best, early_stopping: run.train.early_stopping },
        on_nonfinite: run.train.on_nonfinite,
        loss_spike: run.train.loss_spike,
        heartbeat: Duration::from_millis(run.cluster.heartbeat_ms),
        min_workers: run.cluster.min_workers,
        numerics: run.cluster.numerics,
        kernel: run.cluster.kernel.clone(),
        run: run::to_toml(run),
        train: json(&rows.train),
        validation: rows.validation.as_ref().map(json),
        window: GRANT_WINDOW,
        blocks: rows.catalog.in_blocks(),
        seed: run.seed,
        audit: run.cluster.audit,
    };
    let layout = model.layout();
    let from = standing.checkpoint.unwrap_or_else(|| From {
        progress: Progress::default(),
        weights: model.initial_parameters(run.seed),
        optimizer: Optimizer::new(run.train.optimizer, layout.trained()),
    });
    let From { progress, weights, optimizer } = from;
    let state = State::new(run, layout, progress.step, total_steps, weights, optimizer)
        .after(progress.recent_losses.clone());
    let reducer = Reducer::new(run, Chunks::new(layout), GRANT_WINDOW, state).on(threads());
    let machine = Machine::new(config, standing.start, progress, standing.fingerprint);
    Cluster::new(machine, reducer, standing.start)
}

/// For sums and updates: a quarter of the cores, at most four, since what moves the bytes takes several
/// times what adds them. A small machine's cores are its workers'.
fn threads() -> Threads {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Threads::new((cores / 4).clamp(1, 4)).unwrap_or_else(|error| {
        tracing::warn!("sums and updates run on one thread: {error}");
        Threads::one()
    })
}
