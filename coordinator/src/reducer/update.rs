//! What a step changes: the weights' two halves and the optimizer.

use std::ops::Range;

use lockstep_core::clip;
use lockstep_core::layout::Layout;
use lockstep_core::optimizer::Optimizer;
use lockstep_core::run::spec::{Run, Schedule};
use lockstep_core::{schedule, simd, statistics};

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
    clipping: Option<Clipping>,
}

#[derive(Debug)]
struct Clipping {
    most: f64,
    /// The mean gradient until its last chunk is here.
    means: Vec<f32>,
    norm: f64,
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
        let clipping =
            run.train.clip_norm.map(|most| Clipping { most, means: vec![0.0; layout.len()], norm: 0.0 });
        Self {
            step,
            total_steps,
            schedule: run.train.schedule,
            next: vec![0.0; weights.len()],
            weights,
            optimizer,
            layout: layout.clone(),
            clipping,
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

    pub(super) fn clips(&self) -> bool {
        self.clipping.is_some()
    }

    pub(super) fn norm(&self) -> Option<f64> {
        self.clipping.as_ref().map(|clipping| clipping.norm)
    }

    pub(super) fn keep_mean(&mut self, range: Range<usize>, mean: &[f32]) {
        if let Some(clipping) = &mut self.clipping {
            clipping.means[range].copy_from_slice(mean);
        }
    }

    pub(super) fn clip(&mut self) {
        if let Some(clipping) = &mut self.clipping {
            clipping.norm = clip::norm(&self.layout, &clipping.means);
            let factor = clip::factor(clipping.norm, clipping.most);
            clip::scale(&mut clipping.means[..self.layout.trained()], factor);
        }
    }

    /// What [`Self::keep_mean`] kept, of a step of so many rows.
    pub(super) fn apply_kept(&mut self, range: Range<usize>, rows: u64) {
        if let Some(clipping) = self.clipping.take() {
            self.apply(range.clone(), &clipping.means[range], rows);
            self.clipping = Some(clipping);
        }
    }

    /// The mean gradient of a step of so many rows, or what these rows are like.
    pub(super) fn apply(&mut self, range: Range<usize>, mean: &[f32], rows: u64) {
        let (lr, statistics) = (self.lr(), self.is_statistics(&range));
        let Self { step, weights, next, optimizer, layout, .. } = self;
        let (weights, next) = (&weights[range.clone()], &mut next[range.clone()]);
        if statistics {
            statistics::update(layout.statistics(), &range, rows, mean, weights, next);
        } else {
            optimizer.update(range, *step, lr, mean, weights, next);
        }
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

/// Divides by the rows' weight; whether all values are finite.
pub(super) fn mean(sum: &mut [f32], weight: f64) -> bool {
    let weight = weight as f32;
    // A product with zero is zero, or NaN if the factor is not finite; lanes keep the loop wide.
    let mut lanes = [0.0f32; 16];
    simd::wide(
        #[inline(always)]
        || {
            let (blocks, rest) = sum.as_chunks_mut::<16>();
            for block in blocks {
                for (value, lane) in block.iter_mut().zip(&mut lanes) {
                    *value /= weight;
                    *lane += *value * 0.0;
                }
            }
            for (value, lane) in rest.iter_mut().zip(&mut lanes) {
                *value /= weight;
                *lane += *value * 0.0;
            }
        },
    );
    lanes.iter().all(|lane| *lane == 0.0)
}

/// sum += other
pub(super) fn add(sum: &mut [f32], other: &[f32]) {
    simd::wide(
        #[inline(always)]
        || {
            for (sum, other) in sum.iter_mut().zip(other) {
                *sum += *other;
            }
        },
    );
}
