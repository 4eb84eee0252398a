//! One random run: its file, its rows, and what one process makes of it.

use lockstep_core::chunks::{Chunks, Limits};
use lockstep_core::epoch::{Arrangement, Order, Plan};
use lockstep_core::gradient::Summary;
use lockstep_core::local::{LeftOut, Local};
use lockstep_core::metrics::Sums;
use lockstep_core::model::{Flat, Labels, Microbatch, Model, Target, Weights, Workspace};
use lockstep_core::ops::embedding::Embedding;
use lockstep_core::run::{self, spec::Run};

use super::dice::Dice;

/// A run, and its oracle.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) run: Run,
    pub(super) model: Model,
    pub(super) chunks: Chunks,
    pub(super) window: u32,
    pub(super) plan: Plan,
    arrangement: Arrangement,
    pub(super) total_steps: u64,
    pub(super) evaluate_every: u64,
    /// Rows of each piece of the validation rows.
    pub(super) pieces: Vec<std::ops::Range<u64>>,
    /// What one process makes of it: at W(0), W(1), … W(total).
    pub(super) oracle: Vec<Truth>,
    train: Vec<Row>,
    validation: Vec<Row>,
    weighted: bool,
}

/// What is right at W(step).
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) weights: Vec<f32>,
    pub(super) optimizer: Vec<(&'static str, Vec<f32>)>,
    /// Of the step that led here.
    pub(super) summary: Summary,
    /// Why that step was left out.
    left_out: Option<LeftOut>,
    /// Over all pieces.
    pub(super) evaluation: Sums,
}

#[derive(Debug)]
struct Row {
    values: Vec<f32>,
    class: u32,
    targets: Vec<f32>,
    weight: f32,
}

impl Case {
    /// Any run; or one with this share of audited nodes, shards for four workers and at least 400 steps.
    pub(super) fn new(seed: u64, audit: Option<&str>) -> Self {
        let mut dice = Dice::new(seed, 1);
        let shards = dice.between(if audit.is_some() { 8 } else { 1 }, 9);
        let batch = shards + dice.between(0, 9);
        let steps_per_epoch = dice.between(1, 5);
        let rows = batch * (steps_per_epoch - 1) + dice.between(1, batch);
        let epochs = if audit.is_some() { 401 } else { dice.between(1, 4) };
        let (inputs, outputs) = (dice.between(1, 4) as usize, dice.between(1, 4) as usize);
        let classes = outputs > 1 && dice.chance(50);
        let text = run_file(&mut dice, seed, shards, batch, epochs, outputs, classes, audit);
        let run = run::parse(&text, &[]).unwrap_or_else(|problem| panic!("{problem}\n{text}"));

        let target = if classes { Target::Classes(outputs) } else { Target::Values(outputs) };
        // Drawn apart, so that a seed's rows and cluster are what they are without these.
        let mut apart = Dice::new(seed, 3);
        let embedding = Embedding { name: "x".into(), place: 0, values: 3, width: 2 };
        let embeddings = if apart.chance(30) { vec![embedding] } else { Vec::new() };
        let model = Model::embedding(&run.model, &[inputs], &embeddings, target);
        let model = model.unwrap_or_else(|error| panic!("{error}"));
        let longest = dice.between(1, 24) as usize;
        let (tiny, grain) = (dice.between(0, 16) as usize, dice.between(1, 4) as usize);
        let chunks = Chunks::within(model.layout(), Limits { longest, tiny, grain });
        let arrangement = if dice.chance(50) {
            Arrangement::Rows(rows)
        } else {
            let first = dice.between(0, rows);
            Arrangement::Blocks { lens: vec![first, rows - first], window: dice.between(1, 8) }
        };
        let plan = Plan::new(rows, run.cluster.shards, batch);
        let piece = dice.between(1, 8);
        let held_out = if dice.chance(25) { 0 } else { dice.between(1, 24) };
        let pieces = (0..held_out.div_ceil(piece)).map(|p| p * piece..((p + 1) * piece).min(held_out));
        let mut draw = |count: u64| -> Vec<Row> {
            let mut some = |len: usize| (0..len).map(|_| dice.real(-2.0, 2.0) as f32).collect();
            let row = |n: u64| Row {
                values: some(inputs),
                class: (n % outputs as u64) as u32,
                targets: some(outputs),
                weight: 1.0,
            };
            (0..count).map(row).collect()
        };
        let (mut train, mut validation) = (draw(rows), draw(held_out));
        let weighted = apart.chance(40);
        for row in train.iter_mut().chain(&mut validation) {
            if weighted {
                row.weight = apart.pick(&[0.0, 0.5, 1.0, 3.25]).unwrap_or_default();
            }
            for of in &embeddings {
                row.values[of.place] = apart.between(0, of.values as u64 - 1) as f32;
            }
        }
        // A row that is too much for most models: its steps are left out.
        if run.train.on_nonfinite == run::spec::OnNonfinite::Skip && dice.chance(50) {
            let row = dice.between(0, rows - 1) as usize;
            train[row].values.fill(f32::MAX);
        }
        let total_steps = epochs * plan.steps_per_epoch();
        let evaluate_every = run.train.evaluate_every.unwrap_or(plan.steps_per_epoch());
        let mut case = Self {
            model,
            chunks,
            window: dice.between(1, 4) as u32,
            plan,
            arrangement,
            total_steps,
            evaluate_every,
            pieces: pieces.collect(),
            oracle: Vec::new(),
            train,
            validation,
            weighted,
            run,
        };
        case.oracle = case.truths();
        case
    }

    /// As one process computes it.
    fn truths(&self) -> Vec<Truth> {
        let mut local = Local::new(self.run.clone(), self.model.clone(), self.total_steps);
        let mut order = self.order();
        let mut truths = Vec::new();
        let mut summary = Summary::default();
        loop {
            let mut evaluation = Sums::default();
            for piece in 0..self.pieces.len() as u32 {
                evaluation.add(&self.evaluate(&Flat::new(&self.model, local.weights()), piece).0);
            }
            truths.push(Truth {
                weights: local.weights().to_vec(),
                optimizer: local.optimizer().state().map(|(name, of)| (name, of.to_vec())).collect(),
                summary,
                left_out: local.left_out(),
                evaluation,
            });
            let step = local.step();
            if step == self.total_steps {
                return truths;
            }
            let shards = 0..self.plan.shards();
            let mut all: Vec<_> =
                shards.map(|shard| self.microbatch(&self.rows(&mut order, step, shard), shard)).collect();
            summary = local.advance(&mut all);
        }
    }

    /// The epochs' order, as every worker has one of its own.
    pub(super) fn order(&self) -> Order {
        Order::new(self.run.seed, self.run.cluster.shards, self.plan.batch(), self.arrangement.clone())
    }

    pub(super) fn rows(&self, order: &mut Order, step: u64, shard: u32) -> Vec<u64> {
        let steps = self.plan.steps_per_epoch();
        order.rows(step / steps, step % steps, shard)
    }

    pub(super) fn microbatch(&self, rows: &[u64], shard: u32) -> Microbatch<f32> {
        self.batch(rows.iter().map(|row| &self.train[*row as usize]), shard)
    }

    /// Why the step is left out, if it is.
    pub(super) fn left_out(&self, step: u64) -> Option<LeftOut> {
        self.oracle[step as usize + 1].left_out
    }

    /// The sums of a piece of the validation rows at exact weights, and which rows they are over.
    pub(super) fn evaluate(&self, weights: &impl Weights<f32>, piece: u32) -> (Sums, std::ops::Range<u64>) {
        let range = self.pieces[piece as usize].clone();
        let rows = &self.validation[range.start as usize..range.end as usize];
        let mut workspace = Workspace::new(&self.model);
        workspace.load(&mut self.batch(rows.iter(), 0));
        workspace.forward(&self.model, weights, None);
        let loss = workspace.losses(&self.model).iter().sum();
        let (rows, weight) = (rows.len() as u64, workspace.weight());
        (Sums { rows, weight, loss, ..Sums::default() }, range)
    }

    fn batch<'a>(&self, rows: impl Iterator<Item = &'a Row> + Clone, shard: u32) -> Microbatch<f32> {
        let labels = if matches!(self.model.loss(), run::spec::Loss::CrossEntropy) {
            Labels::Classes(rows.clone().map(|row| row.class).collect())
        } else {
            Labels::Values(rows.clone().flat_map(|row| row.targets.iter().copied()).collect())
        };
        let values = rows.clone().flat_map(|row| row.values.iter().copied()).collect();
        let weights = rows.clone().filter(|_| self.weighted).map(|row| row.weight).collect();
        Microbatch { shard, rows: rows.count(), values, labels, weights }
    }

    /// Whether W(step) is evaluated.
    pub(super) fn evaluates(&self, step: u64) -> bool {
        let due = step.is_multiple_of(self.evaluate_every) || step == self.total_steps;
        step > 0 && !self.pieces.is_empty() && due
    }

    /// Whether W(step) is a checkpoint that belongs to the run, whatever happens to its cluster.
    pub(super) fn milestone(&self, step: u64) -> bool {
        let every = self.run.checkpoint.every_steps;
        step > 0 && (step.is_multiple_of(every) || step == self.total_steps)
    }
}

/// Small, and every road through the arithmetic is taken by some seed.
#[allow(clippy::too_many_arguments, reason = "each was drawn for the rows too")]
fn run_file(
    dice: &mut Dice,
    seed: u64,
    shards: u64,
    batch: u64,
    epochs: u64,
    outputs: usize,
    classes: bool,
    audit: Option<&str>,
) -> String {
    let loss = if classes { "cross_entropy" } else { "mean_squared_error" };
    let hidden = dice.between(1, 6);
    let activation = dice.pick(&["relu", "tanh", "gelu"]).unwrap_or_default();
    let dropout = if dice.chance(50) { "{ dropout = 0.3 }, " } else { "" };
    let norms = ["", "", "\"batch_norm\", ", "{ batch_norm = { momentum = 0.3, affine = false } }, "];
    let [start, middle] = [(); 2].map(|()| dice.pick(&norms).unwrap_or_default());
    let first = if dice.chance(80) {
        format!("{start}{{ linear = {hidden} }}, {middle}\"{activation}\", {dropout}")
    } else {
        start.to_owned()
    };
    let optimizers = [
        "{ sgd = { lr = 0.05 } }",
        "{ sgd = { lr = 0.005, momentum = 0.9, nesterov = true } }",
        "{ adam = { lr = 0.01 } }",
        "{ adamw = { lr = 0.01 } }",
    ];
    let optimizer = dice.pick(&optimizers).unwrap_or_default();
    let schedules = ["\"constant\"", "{ cosine = { warmup_steps = 2 } }"];
    let schedule = dice.pick(&schedules).unwrap_or_default();
    let clip = if dice.chance(40) { "clip_norm = 0.4\n" } else { "" };
    let nonfinite = if dice.chance(30) { "on_nonfinite = \"skip\"\n" } else { "" };
    let spike = if dice.chance(20) { "loss_spike = { factor = 1.02, window = 2 }\n" } else { "" };
    let evaluate = dice.between(0, 3);
    let evaluate = if evaluate > 0 { format!("evaluate_every = {evaluate}\n") } else { String::new() };
    let wire = dice.pick(&["f32", "bf16"]).unwrap_or_default();
    let save_every = dice.between(1, 4);
    let some = if dice.chance(30) { dice.pick(&["0.3", "1.0"]).unwrap_or_default() } else { "0.0" };
    let audit = audit.unwrap_or(some);
    let least = if dice.chance(20) { dice.between(2, 3) } else { 1 };
    format!(
        "seed = {seed}\n[data]\ntrain = \"rows.csv\"\ntarget = \"y\"\n\
         [model]\nloss = \"{loss}\"\nlayers = [{first}{{ linear = {outputs} }}]\n\
         [train]\nepochs = {epochs}\nbatch_size = {batch}\noptimizer = {optimizer}\nschedule = {schedule}\n{clip}{evaluate}{nonfinite}{spike}\
         [cluster]\nshards = {shards}\nwire = \"{wire}\"\nmin_workers = {least}\naudit = {audit}\n[checkpoint]\nevery_steps = {save_every}\n"
    )
}
