//! What a worker knows of its run once it has been welcomed: the model, the rows and their order.

use std::sync::Arc;

use lockstep_core::chunks::Chunks;
use lockstep_core::epoch::Order;
use lockstep_core::model::{Labels, Microbatch, Model, ShapeError, Target};
use lockstep_core::numerics::PIECE_ROWS;
use lockstep_core::run::{self, spec::Run};
use lockstep_data::{Rows, RowsError, TargetType, TargetsMut};

/// Why a welcome cannot be followed: the coordinator's description is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The run file.
    #[error("the coordinator's run file: {0}")]
    Run(#[from] run::Problem),
    /// The model.
    #[error("the coordinator's run file: {0}")]
    Shape(#[from] ShapeError),
    /// The rows.
    #[error("the coordinator's rows: {0}")]
    Rows(#[from] RowsError),
    /// The thread that gathers rows is gone.
    #[error("the thread that gathers rows has ended")]
    Thread,
    /// The rows have no targets.
    #[error("the coordinator's rows have no targets")]
    NoTargets,
    /// Validation rows are not like training rows.
    #[error("the coordinator's validation rows have other columns or classes than its training rows")]
    Validation,
    /// Nodes to compute that are not the run's, or lie over each other.
    #[error("the coordinator's assignment: nodes that are not in the tree, or overlap")]
    Nodes,
}

/// The run as a worker sees it.
#[derive(Clone, Debug)]
pub struct Task {
    /// The run.
    pub run: Arc<Run>,
    /// Its network.
    pub model: Model,
    /// What its rows are labelled with.
    pub target: Target,
    /// How vectors travel.
    pub chunks: Chunks,
    /// The training rows.
    pub train: Rows,
    /// The validation rows.
    pub validation: Option<Rows>,
}

impl Task {
    /// Of the resolved run file and the rows.
    pub fn new(run: &str, train: Rows, validation: Option<Rows>) -> Result<Self, Unfit> {
        let run = run::parse(run, &[])?;
        let shape = train.shape();
        let target = match shape.targets {
            TargetType::Classes(classes) => Target::Classes(classes as usize),
            TargetType::Values(width) => Target::Values(width),
            TargetType::Absent => return Err(Unfit::NoTargets),
        };
        if validation.as_ref().is_some_and(|validation| {
            let other = validation.shape();
            (&other.sample, other.targets, &other.embeddings)
                != (&shape.sample, shape.targets, &shape.embeddings)
        }) {
            return Err(Unfit::Validation);
        }
        let model = Model::embedding(&run.model, &shape.sample, &shape.embeddings, target)?;
        let chunks = Chunks::new(model.layout());
        Ok(Self { run: Arc::new(run), model, target, chunks, train, validation })
    }

    /// The order of the training rows.
    pub fn order(&self) -> Order {
        let arrangement = self.train.arrangement(&self.run.data);
        Order::new(self.run.seed, self.run.cluster.shards, self.run.train.batch_size, arrangement)
    }

    /// Which training rows are a shard's in a step.
    pub fn rows_of(&self, order: &mut Order, step: u64, shard: u32) -> Vec<u64> {
        let steps = order.plan().steps_per_epoch().max(1);
        order.rows(step / steps, step % steps, shard)
    }

    /// The shards are in this step now: what their windows need is held before anything else.
    pub fn keep(&self, order: &mut Order, step: u64, shards: &[u32]) {
        let steps = order.plan().steps_per_epoch().max(1);
        self.train.keep(shards.iter().flat_map(|shard| order.current(step / steps, step % steps, *shard)));
    }

    /// Asks for the rows that the shards need some steps after this one.
    pub fn ahead(&self, order: &mut Order, step: u64, shards: &[u32]) {
        let steps = order.plan().steps_per_epoch().max(1);
        self.train.ahead(shards.iter().flat_map(|shard| order.upcoming(step / steps, step % steps, *shard)));
    }

    /// A shard's rows of a step, into the memory of `microbatch`.
    pub fn load_step(
        &self,
        order: &mut Order,
        step: u64,
        shard: u32,
        microbatch: &mut Microbatch<f32>,
    ) -> Result<(), Unfit> {
        let rows = self.rows_of(order, step, shard);
        microbatch.shard = shard;
        gather(&self.train, &rows, microbatch, &self.model, self.target)
    }

    /// A piece of the validation rows, in file order; `None` if there is no such piece.
    pub fn load_piece(&self, piece: u32, microbatch: &mut Microbatch<f32>) -> Result<Option<()>, Unfit> {
        let Some(validation) = &self.validation else { return Ok(None) };
        let start = u64::from(piece) * PIECE_ROWS as u64;
        let rows: Vec<u64> = (start..(start + PIECE_ROWS as u64).min(validation.rows())).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        gather(validation, &rows, microbatch, &self.model, self.target).map(Some)
    }
}

/// An empty microbatch, to be loaded.
pub fn empty() -> Microbatch<f32> {
    Microbatch {
        shard: 0,
        rows: 0,
        values: Vec::new(),
        labels: Labels::Classes(Vec::new()),
        weights: Vec::new(),
    }
}

fn gather(
    from: &Rows,
    rows: &[u64],
    microbatch: &mut Microbatch<f32>,
    model: &Model,
    target: Target,
) -> Result<(), Unfit> {
    microbatch.rows = rows.len();
    microbatch.values.resize(rows.len() * model.inputs(), 0.0);
    let targets = match target {
        Target::Classes(_) => {
            if !matches!(microbatch.labels, Labels::Classes(_)) {
                microbatch.labels = Labels::Classes(Vec::new());
            }
            let Labels::Classes(classes) = &mut microbatch.labels else { return Err(Unfit::NoTargets) };
            classes.resize(rows.len(), 0);
            TargetsMut::Classes(classes)
        }
        Target::Values(width) => {
            if !matches!(microbatch.labels, Labels::Values(_)) {
                microbatch.labels = Labels::Values(Vec::new());
            }
            let Labels::Values(values) = &mut microbatch.labels else { return Err(Unfit::NoTargets) };
            values.resize(rows.len() * width, 0.0);
            TargetsMut::Values(values)
        }
    };
    from.gather(rows, &mut microbatch.values, targets)?;
    from.gather_weights(rows, &mut microbatch.weights)?;
    Ok(())
}
