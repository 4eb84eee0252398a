//! What turns gradients into weights, chunk by chunk.
//!
//! Every element is updated by itself, so that any cut of the vector gives the same bits. What is the
//! same for a whole step is computed once, in f64.

mod adam;
mod sgd;

use std::ops::Range;

use crate::Float;
use crate::run::spec;

/// An optimizer and its moments, flat vectors of the parameters' length.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer<T> {
    spec: spec::Optimizer,
    moments: Vec<Vec<T>>,
}

impl<T: Float> Optimizer<T> {
    /// For `len` parameters, with moments of zero.
    pub fn new(spec: spec::Optimizer, len: usize) -> Self {
        Self { spec, moments: names(&spec).iter().map(|_| vec![T::zero(); len]).collect() }
    }

    /// The learning rate of the run file, before the schedule's factor.
    pub const fn learning_rate(&self) -> f64 {
        match self.spec {
            spec::Optimizer::Sgd { lr, .. } => lr,
            spec::Optimizer::Adam(adam) | spec::Optimizer::AdamW(adam) => adam.lr,
        }
    }

    /// The moments by PyTorch's names, as flat vectors: `momentum_buffer` of SGD with momentum,
    /// `exp_avg` and `exp_avg_sq` of Adam and AdamW.
    pub fn state(&self) -> impl Iterator<Item = (&'static str, &[T])> {
        names(&self.spec).iter().copied().zip(self.moments.iter().map(Vec::as_slice))
    }

    /// As [`Self::state`], to be restored.
    pub fn state_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut [T])> {
        names(&self.spec).iter().copied().zip(self.moments.iter_mut().map(Vec::as_mut_slice))
    }

    /// Makes `next`, the elements `range` of W(t+1), of `weights`, the same elements of W(t).
    ///
    /// `step` is t, counted from 0 through the whole run; `lr` is the step's learning rate, the
    /// schedule's factor included; `gradient` is the mean over the step's rows, of the same elements.
    ///
    /// # Panics
    /// If the slices are not as long as `range`, or `range` is not one of the parameters.
    pub fn update(
        &mut self,
        range: Range<usize>,
        step: u64,
        lr: f64,
        gradient: &[T],
        weights: &[T],
        next: &mut [T],
    ) {
        self.part(range, step, lr).update(gradient, weights, next);
    }

    /// One step's update of the elements `range`, as in [`Self::update`], to be done in parts.
    ///
    /// # Panics
    /// If `range` is not one of the parameters.
    pub fn part(&mut self, range: Range<usize>, step: u64, lr: f64) -> Part<'_, T> {
        let len = range.len();
        let rule = match self.spec {
            spec::Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
                Rule::Sgd(sgd::Step::new(lr, momentum, nesterov, weight_decay))
            }
            spec::Optimizer::Adam(spec) => Rule::Adam(adam::Step::coupled(&spec, step, lr)),
            spec::Optimizer::AdamW(spec) => Rule::Adam(adam::Step::decoupled(&spec, step, lr)),
        };
        let mut moments = self.moments.iter_mut().map(|moment| &mut moment[range.clone()]);
        let (first, second) = (moments.next().unwrap_or_default(), moments.next().unwrap_or_default());
        Part { len, rule, first, second }
    }
}

/// One step's update of a part of the vector.
#[derive(Debug)]
pub struct Part<'a, T> {
    len: usize,
    rule: Rule<T>,
    /// Each as long as the part, or empty where the optimizer keeps no such moment.
    first: &'a mut [T],
    second: &'a mut [T],
}

#[derive(Clone, Copy, Debug)]
enum Rule<T> {
    Sgd(sgd::Step<T>),
    Adam(adam::Step<T>),
}

impl<T: Float> Part<'_, T> {
    /// The same for the elements before `middle`, and for the others.
    pub fn split_at(self, middle: usize) -> (Self, Self) {
        let Self { len, rule, first, second } = self;
        let middle = middle.min(len);
        let (first, first_after) = first.split_at_mut(middle.min(first.len()));
        let (second, second_after) = second.split_at_mut(middle.min(second.len()));
        let after = Self { len: len - middle, rule, first: first_after, second: second_after };
        (Self { len: middle, rule, first, second }, after)
    }

    /// Makes `next` of `weights`.
    ///
    /// # Panics
    /// If the slices are not as long as the part.
    pub fn update(self, gradient: &[T], weights: &[T], next: &mut [T]) {
        let Self { len, rule, first, second } = self;
        assert!(
            gradient.len() == len && weights.len() == len && next.len() == len,
            "the slices of an update are as long as its range"
        );
        match rule {
            Rule::Sgd(sgd) if first.len() == len => sgd.with_momentum(gradient, weights, first, next),
            Rule::Sgd(sgd) => sgd.plain(gradient, weights, next),
            Rule::Adam(adam) => adam.update(gradient, weights, first, second, next),
        }
    }
}

/// The moments that an optimizer keeps, by PyTorch's names.
fn names(spec: &spec::Optimizer) -> &'static [&'static str] {
    match spec {
        spec::Optimizer::Sgd { momentum, .. } if *momentum == 0.0 => &[],
        spec::Optimizer::Sgd { .. } => &["momentum_buffer"],
        spec::Optimizer::Adam(_) | spec::Optimizer::AdamW(_) => &["exp_avg", "exp_avg_sq"],
    }
}

#[cfg(test)]
mod tests;
