//! What outputs mean, for a user.

use crate::ops::{activation, lanes};
use crate::run::spec::{Activation, Loss};
use crate::{Float, simd};

/// Overwrites `out` \[rows, width\]: each row's softmax for cross-entropy, each output's sigmoid for binary
/// cross-entropy, and the outputs themselves for all other losses. `outputs` and `out` have one length.
pub fn probabilities<T: Float>(loss: Loss, outputs: &[T], width: usize, out: &mut [T]) {
    match loss {
        Loss::CrossEntropy if width > 0 => {
            exponentials(outputs, width, out);
            simd::wide(
                #[inline(always)]
                || {
                    for row in out.chunks_exact_mut(width) {
                        normalise(row);
                    }
                },
            );
        }
        Loss::BinaryCrossEntropy => activation::forward(Activation::Sigmoid, outputs, out),
        _ => out.copy_from_slice(outputs),
    }
}

/// e^(x - m) with m the row's greatest output, so that the greatest exponential is 1.
///
/// The exponentials are taken over all rows at once: narrow rows would leave vectors half empty.
pub(super) fn exponentials<T: Float>(outputs: &[T], width: usize, out: &mut [T]) {
    simd::wide(
        #[inline(always)]
        || {
            for (x, out) in outputs.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                let greatest = lanes::greatest(x);
                for (out, x) in out.iter_mut().zip(x) {
                    *out = *x - greatest;
                }
            }
            for v in out {
                *v = v.exp();
            }
        },
    );
}

/// Divides a row by its sum, which it returns.
#[inline(always)]
pub(super) fn normalise<T: Float>(row: &mut [T]) -> f64 {
    let sum = lanes::sum(
        row,
        row,
        #[inline(always)]
        |e, _| e.to_f64(),
    );
    let share = T::from_f64(1.0 / sum);
    for v in row {
        *v *= share;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::close;

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([[1., 2., 3.], [0., -1., 0.5]])
    // print(torch.softmax(x, 1).flatten().tolist())
    // print(torch.sigmoid(x).flatten().tolist())
    #[test]
    fn golden() {
        let x = [1.0, 2.0, 3.0, 0.0, -1.0, 0.5];
        let mut out = [0.0; 6];
        probabilities(Loss::CrossEntropy, &x, 3, &mut out);
        close(
            "softmax",
            &out,
            &[
                0.09003057317038045,
                0.2447284710547976,
                0.6652409557748218,
                0.3314989604240915,
                0.12195165230972885,
                0.5465493872661796,
            ],
            1e-14,
        );
        probabilities(Loss::BinaryCrossEntropy, &x, 3, &mut out);
        close(
            "sigmoid",
            &out,
            &[
                0.7310585786300049,
                0.8807970779778823,
                0.9525741268224334,
                0.5,
                0.2689414213699951,
                0.6224593312018546,
            ],
            1e-14,
        );
        probabilities(Loss::Hinge, &x, 3, &mut out);
        assert_eq!(out, x);
    }
}
