//! What a step changes: the weights' two halves and the optimizer.

use std::ops::Range;

use lockstep_core::clip;
use lockstep_core::gradient::Summary;
use lockstep_core::layout::Layout;
use lockstep_core::optimizer::Optimizer;
use lockstep_core::run::spec::{LossSpike, OnNonfinite, Run, Schedule, Wire};
use lockstep_core::spike::Recent;
use lockstep_core::threads::Threads;
use lockstep_core::{schedule, statistics, wire};

use super::arithmetic::Update;

/// W(step), W(step + 1) as far as it is applied, and the optimizer.
#[derive(Debug)]
pub struct State {
    step: u64,
    total_steps: u64,
    schedule: Schedule,
    weights: Vec<f32>,
    next: Vec<f32>,
    optimizer: Optimizer<f32>,
    layout: Layout,
    /// The mean gradient until its last chunk is here, of a run that needs the whole to use any of it.
    kept: Option<Vec<f32>>,
    clipping: Option<Clipping>,
    /// When a loss is too high, and the losses before.
    spikes: Option<LossSpike>,
    recent: Recent,
}

#[derive(Debug)]
struct Clipping {
    most: f64,
    norm: f64,
}

/// What a chunk of W(step + 1) is made by.
pub(super) enum Change<'a> {
    /// The mean gradient, or what the rows are like; and how many there are.
    Mean(&'a [f32], u64),
    /// The same, as it was kept.
    Kept(u64),
    /// It stays as it is.
    Nothing,
}

/// A copy of what a step changes, taken between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The number of steps that are done.
    pub step: u64,
    /// W(step)
    pub weights: Vec<f32>,
    /// The optimizer's vectors by name.
    pub optimizer: Vec<(&'static str, Vec<f32>)>,
}

impl State {
    /// After `step` steps of `total_steps`.
    pub fn new(
        run: &Run,
        layout: &Layout,
        step: u64,
        total_steps: u64,
        weights: Vec<f32>,
        optimizer: Optimizer<f32>,
    ) -> Self {
        let clipping = run.train.clip_norm.map(|most| Clipping { most, norm: 0.0 });
        let keeps = clipping.is_some() || run.train.on_nonfinite == OnNonfinite::Skip;
        let keeps = keeps || run.train.loss_spike.is_some();
        Self {
            step,
            total_steps,
            schedule: run.train.schedule,
            next: vec![0.0; weights.len()],
            weights,
            optimizer,
            layout: layout.clone(),
            kept: keeps.then(|| vec![0.0; layout.len()]),
            clipping,
            spikes: run.train.loss_spike,
            recent: Recent::default(),
        }
    }

    /// With the losses of the steps before.
    #[must_use]
    pub fn after(self, recent: Recent) -> Self {
        Self { recent, ..self }
    }

    /// The median that the step's loss is too far above, if it is.
    pub(super) fn exceeded(&self, step: Summary) -> Option<f64> {
        self.recent.exceeded(self.spikes?, step)
    }

    /// The step is not left out.
    pub(super) fn took(&mut self, step: Summary) {
        if let Some(rule) = self.spikes {
            self.recent.push(rule, step);
        }
    }

    pub(super) fn step(&self) -> u64 {
        self.step
    }

    pub(super) fn weights(&self) -> &[f32] {
        &self.weights
    }

    pub(super) fn next(&self) -> &[f32] {
        &self.next
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let optimizer = self.optimizer.state().map(|(name, values)| (name, values.to_vec())).collect();
        Snapshot { step: self.step, weights: self.weights.clone(), optimizer }
    }

    /// The step's learning rate.
    pub(super) fn lr(&self) -> f64 {
        self.optimizer.learning_rate() * schedule::factor(&self.schedule, self.step, self.total_steps)
    }

    /// Whether the update waits for the last chunk.
    pub(super) fn keeps(&self) -> bool {
        self.kept.is_some()
    }

    pub(super) fn norm(&self) -> Option<f64> {
        self.clipping.as_ref().map(|clipping| clipping.norm)
    }

    pub(super) fn keep_mean(&mut self, range: Range<usize>, mean: &[f32]) {
        if let Some(kept) = &mut self.kept {
            kept[range].copy_from_slice(mean);
        }
    }

    pub(super) fn clip(&mut self) {
        if let (Some(clipping), Some(kept)) = (&mut self.clipping, &mut self.kept) {
            clipping.norm = clip::norm(&self.layout, kept);
            let factor = clip::factor(clipping.norm, clipping.most);
            clip::scale(&mut kept[..self.layout.trained()], factor);
        }
    }

    /// Makes W(step + 1) of some elements, in `bytes` also.
    pub(super) fn apply(
        &mut self,
        range: Range<usize>,
        change: &Change<'_>,
        bytes: &mut [u8],
        encoding: Wire,
        threads: &Threads,
    ) {
        let (lr, statistics) = (self.lr(), self.is_statistics(&range));
        let Self { step, weights, next, optimizer, layout, kept, .. } = self;
        let (weights, next) = (&weights[range.clone()], &mut next[range.clone()]);
        let (mean, rows) = match (change, kept) {
            (Change::Mean(mean, rows), _) => (*mean, *rows),
            (Change::Kept(rows), Some(kept)) => (&kept[range.clone()], *rows),
            (Change::Kept(_), None) | (Change::Nothing, _) => {
                next.copy_from_slice(weights);
                return wire::write(next, encoding, bytes);
            }
        };
        if statistics {
            statistics::update(layout.statistics(), &range, rows, mean, weights, next);
            return wire::write(next, encoding, bytes);
        }
        let part = optimizer.part(range, *step, lr);
        Update { part, gradient: mean, weights, next, bytes, encoding }.compute(threads);
    }

    /// Whether a chunk is one of running statistics. None is of both.
    pub(super) fn is_statistics(&self, chunk: &Range<usize>) -> bool {
        chunk.start >= self.layout.trained()
    }

    /// Makes `sum` that of both; each with its rows.
    pub(super) fn combine(&self, range: &Range<usize>, sum: (&mut [f32], u64), other: (&[f32], u64)) {
        statistics::combine(self.layout.statistics(), range, sum, other);
    }

    pub(super) fn advance(&mut self) {
        std::mem::swap(&mut self.weights, &mut self.next);
        self.step += 1;
    }
}
