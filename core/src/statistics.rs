//! Running statistics: what batch_norm knows of the rows, and how the rows of a step change it.
//!
//! In the vector they lie behind all parameters, of each layer the running mean and the running variance
//! of its channels. A node's gradient has, in the same places, what the node's own rows are like: mean and
//! sum of squared deviations. Two nodes are not added but combined (Chan, Golub and LeVeque, 1979), in the
//! reduction tree like everything else:
//!
//! ```text
//! running_mean | running_var        the model's
//!         mean | Σ (x - mean)²      of a node; how many values there are follows from its rows
//! ```
//!
//! None of these is ever rounded to bf16, divided by a weight, clipped or counted in a norm.

use std::ops::Range;

use crate::Float;

/// The statistics of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracked {
    /// The layer's number.
    pub layer: usize,
    /// Means, then variances, in the vector.
    pub range: Range<usize>,
    /// Values of a channel in one row.
    pub values: u64,
    /// How much of a step goes into the running statistics, above 0 and at most 1.
    pub momentum: f64,
}

impl Tracked {
    /// How many channels there are.
    pub fn channels(&self) -> usize {
        self.range.len() / 2
    }

    fn count(&self, rows: u64) -> f64 {
        rows.saturating_mul(self.values) as f64
    }

    /// The layer's part of a piece of the vector that starts at `start`: means and the other half.
    pub(crate) fn split<'a, T>(&self, start: usize, piece: &'a [T]) -> (&'a [T], &'a [T]) {
        piece[self.range.start - start..self.range.end - start].split_at(self.channels())
    }

    fn split_mut<'a, T>(&self, start: usize, piece: &'a mut [T]) -> (&'a mut [T], &'a mut [T]) {
        piece[self.range.start - start..self.range.end - start].split_at_mut(self.channels())
    }
}

/// Makes `sum`, of a node of so many rows, that of its parent, `other` being its sibling's; both are the
/// elements `range`. Either child may be the first: the result's bits are the same.
///
/// With n = nₐ + n_b: mean = (nₐ·meanₐ + n_b·mean_b)/n, and the squared deviations are
/// Mₐ + M_b + (mean_b - meanₐ)²·nₐ·n_b/n, computed in f64.
///
/// # Panics
/// If the slices are not as long as `range`.
pub fn combine<T: Float>(
    tracked: &[Tracked],
    range: &Range<usize>,
    (sum, rows): (&mut [T], u64),
    (other, other_rows): (&[T], u64),
) {
    for layer in within(tracked, range) {
        let (a, b) = (layer.count(rows), layer.count(other_rows));
        let (means, squares) = layer.split_mut(range.start, sum);
        let (other_means, other_squares) = layer.split(range.start, other);
        let other = other_means.iter().zip(other_squares);
        for ((mean, square), (other_mean, other_square)) in means.iter_mut().zip(squares).zip(other) {
            let (ours, theirs) = (mean.to_f64(), other_mean.to_f64());
            let apart = theirs - ours;
            let squares = square.to_f64() + other_square.to_f64();
            *mean = T::from_f64((a * ours + b * theirs) / (a + b));
            *square = T::from_f64(squares + apart * apart * (a * b / (a + b)));
        }
    }
}

/// Makes `next`, the elements `range` of the running statistics after a step of so many rows, of those
/// `before` it and what its rows are like, `measured`.
///
/// running = (1 - momentum)·running + momentum·the step's, computed in f64. The step's variance is
/// unbiased, Σ (x - mean)²/(n - 1), as in PyTorch; of a single value it is 0, where PyTorch gives up.
///
/// # Panics
/// If the slices are not as long as `range`.
pub fn update<T: Float>(
    tracked: &[Tracked],
    range: &Range<usize>,
    rows: u64,
    measured: &[T],
    before: &[T],
    next: &mut [T],
) {
    for layer in within(tracked, range) {
        let kept = |divisor: f64| {
            move |((next, before), new): ((&mut T, &T), &T)| {
                let new = new.to_f64() / divisor;
                *next = T::from_f64((1.0 - layer.momentum) * before.to_f64() + layer.momentum * new);
            }
        };
        let (means, variances) = layer.split_mut(range.start, next);
        let (means_before, variances_before) = layer.split(range.start, before);
        let (measured, squares) = layer.split(range.start, measured);
        let degrees = (layer.count(rows) - 1.0).max(1.0);
        means.iter_mut().zip(means_before).zip(measured).for_each(kept(1.0));
        variances.iter_mut().zip(variances_before).zip(squares).for_each(kept(degrees));
    }
}

/// A layer's statistics are never cut, so a piece has all of a layer or nothing.
fn within<'a>(tracked: &'a [Tracked], range: &Range<usize>) -> impl Iterator<Item = &'a Tracked> {
    let range = range.clone();
    tracked.iter().filter(move |layer| range.start <= layer.range.start && layer.range.end <= range.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two layers behind 10 parameters: of 2 channels of 3 values a row, and of 1 channel of one.
    fn tracked() -> [Tracked; 2] {
        [
            Tracked { layer: 1, range: 10..14, values: 3, momentum: 0.1 },
            Tracked { layer: 4, range: 14..16, values: 1, momentum: 0.5 },
        ]
    }

    /// What rows of 7 values are like: of each the first three are channel 0, the next three channel 1.
    fn measured(rows: &[[f64; 7]]) -> Vec<f64> {
        let channel = |columns: Range<usize>| {
            let all: Vec<f64> = rows.iter().flat_map(|row| &row[columns.clone()]).copied().collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            (mean, all.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>())
        };
        let [a, b, c] = [0..3, 3..6, 6..7].map(channel);
        vec![a.0, b.0, a.1, b.1, c.0, c.1]
    }

    proptest! {
        #[test]
        fn two_nodes_are_combined_to_what_their_rows_are_like(
            rows in proptest::collection::vec(proptest::array::uniform7(-9.0..9.0), 2..20),
            cut in 1usize..19,
        ) {
            let (left, right) = rows.split_at(cut.min(rows.len() - 1));
            let [a, b] = [left, right].map(measured);
            let [mut ab, mut ba] = [a.clone(), b.clone()];
            let (n, m) = (left.len() as u64, right.len() as u64);
            combine(&tracked(), &(10..16), (&mut ab, n), (&b, m));
            combine(&tracked(), &(10..16), (&mut ba, m), (&a, n));
            prop_assert_eq!(&ab, &ba, "it does not matter which was first");
            for (found, expected) in ab.iter().zip(measured(&rows)) {
                prop_assert!((found - expected).abs() <= 1e-11 * expected.abs().max(1.0));
            }
            // A piece of the vector gives what the whole does.
            let mut piece = a[4..].to_vec();
            combine(&tracked(), &(14..16), (&mut piece, n), (&b[4..], m));
            prop_assert_eq!(&piece, &ab[4..]);
        }
    }

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([1., 2., 4., 4., 2., -1.]).reshape(1, 2, 3)
    // m = torch.nn.BatchNorm1d(2)
    // m.running_mean, m.running_var = torch.tensor([0.5, -1.]), torch.tensor([2., 3.])
    // m(x)
    // print(m.running_mean.tolist(), m.running_var.tolist())
    #[test]
    fn running_statistics_are_those_of_pytorch() {
        let row = [1.0, 2.0, 4.0, 4.0, 2.0, -1.0, 6.0];
        let before = [0.5, -1.0, 2.0, 3.0, 4.0, 8.0];
        let mut next = [f64::NAN; 6];
        update(&tracked(), &(10..16), 1, &measured(&[row]), &before, &mut next);
        let expected = [0.6833333333333333, -0.7333333333333334, 2.0333333333333337, 3.3333333333333335];
        for (found, expected) in next.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-14, "{next:?}");
        }
        // The last layer saw a single value, 6: its variance is 0.
        assert_eq!(next[4..], [5.0, 4.0]);
    }
}
