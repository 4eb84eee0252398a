//! What is minimised: a loss for each row, and its gradient. A file each; here is what they share.
//!
//! A row's loss is the mean over its outputs, as in PyTorch; cross-entropy has one value a row. Losses
//! are f64, so that sums over many rows keep their digits.

mod binary_cross_entropy;
mod cross_entropy;
mod elementwise;
mod hinge;
mod huber;
mod mean_absolute_error;
mod mean_squared_error;
mod perceptron;
mod probabilities;

pub use probabilities::probabilities;

use elementwise::elementwise;

use crate::run::spec::Loss;
use crate::{Float, simd};

/// What the outputs should be.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a, T> {
    /// A class for each row: of `width` for cross-entropy; of two for binary cross-entropy (0 and 1),
    /// perceptron and hinge (-1 and +1), which then have one output.
    Classes(&'a [u32]),
    /// A value for each output, \[rows, width\]; not for cross-entropy.
    Values(&'a [T]),
}

/// Overwrites `losses`, one for each row of `outputs` \[rows, width\].
///
/// A row's weight multiplies its loss. A class that does not exist gives a loss of NaN, and so do, for
/// all rows, lengths that do not fit together and a kind of target that the loss has no meaning for.
pub fn forward<T: Float>(
    loss: Loss,
    outputs: &[T],
    targets: Targets<'_, T>,
    width: usize,
    weights: Option<&[T]>,
    losses: &mut [f64],
) {
    evaluate(loss, outputs, targets, width, weights, losses, None);
}

/// As [`forward`], the same bits, and overwrites `gradient` \[rows, width\] with the derivative of the
/// sum of `losses` by each output. (Not divided by the rows; NaN where the loss is for want of a target.)
pub fn forward_backward<T: Float>(
    loss: Loss,
    outputs: &[T],
    targets: Targets<'_, T>,
    width: usize,
    weights: Option<&[T]>,
    losses: &mut [f64],
    gradient: &mut [T],
) {
    evaluate(loss, outputs, targets, width, weights, losses, Some(gradient));
}

fn evaluate<T: Float>(
    loss: Loss,
    outputs: &[T],
    targets: Targets<'_, T>,
    width: usize,
    weights: Option<&[T]>,
    losses: &mut [f64],
    mut gradient: Option<&mut [T]>,
) {
    let values = losses.len() * width;
    let fits = width > 0
        && outputs.len() == values
        && gradient.as_ref().is_none_or(|g| g.len() == values)
        && weights.is_none_or(|w| w.len() == losses.len())
        && match targets {
            Targets::Classes(classes) => {
                classes.len() == losses.len() && (width == 1 || loss == Loss::CrossEntropy)
            }
            Targets::Values(targets) => targets.len() == values && loss != Loss::CrossEntropy,
        };
    if !fits {
        losses.fill(f64::NAN);
        gradient.into_iter().for_each(|g| g.fill(T::from_f64(f64::NAN)));
        return;
    }
    let to = gradient.as_deref_mut();
    match (loss, targets) {
        (Loss::CrossEntropy, Targets::Classes(classes)) => {
            cross_entropy::rows(outputs, classes, width, losses, to);
        }
        (Loss::CrossEntropy, Targets::Values(_)) => {}
        (Loss::BinaryCrossEntropy, _) => {
            elementwise(binary_cross_entropy::BinaryCrossEntropy, outputs, targets, width, losses, to);
        }
        (Loss::MeanSquaredError, _) => {
            elementwise(mean_squared_error::MeanSquaredError, outputs, targets, width, losses, to);
        }
        (Loss::MeanAbsoluteError, _) => {
            elementwise(mean_absolute_error::MeanAbsoluteError, outputs, targets, width, losses, to);
        }
        (Loss::Huber { delta }, _) => {
            elementwise(huber::Huber { delta: T::from_f64(delta) }, outputs, targets, width, losses, to);
        }
        (Loss::Perceptron, _) => {
            elementwise(perceptron::Perceptron, outputs, targets, width, losses, to);
        }
        (Loss::Hinge, _) => elementwise(hinge::Hinge, outputs, targets, width, losses, to),
    }
    if let Some(weights) = weights {
        weigh(weights, width, losses, gradient);
    }
}

fn weigh<T: Float>(weights: &[T], width: usize, losses: &mut [f64], gradient: Option<&mut [T]>) {
    for (loss, weight) in losses.iter_mut().zip(weights) {
        *loss *= weight.to_f64();
    }
    let Some(gradient) = gradient else { return };
    simd::wide(
        #[inline(always)]
        || {
            for (row, weight) in gradient.chunks_exact_mut(width).zip(weights) {
                for g in row {
                    *g *= *weight;
                }
            }
        },
    );
}

#[cfg(test)]
mod tests;
