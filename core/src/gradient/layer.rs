//! One layer of a node's gradient.
//!
//! The gradient of a large linear layer is many times larger than what it is made of. Written out for
//! every shard and then summed, it would go through memory again and again. So it is made block by
//! block: the block of the first shard, that of the second, their sum, … all in cache, and only the
//! node's sum is written to memory.
//!
//! ```text
//!              inputs                    block of shard s: dy[:, outputs of the block]ᵀ · x[:, inputs of it]
//!          ┌─────┬─────┐
//!  outputs │     │     │  a group: what one thread does, block by block
//!          ├─────┼─────┤
//!          │     │     │  a block: at most 256 × 512
//!          └─────┴─────┘
//! ```

use std::ops::Range;

use super::pool::Pool;
use super::sum::Summing;
use super::{Place, Step};
use crate::model::{LinearGradient, Model};
use crate::threads::Threads;
use crate::tree::Node;
use crate::{Float, product};

/// Most outputs and inputs of a block: three or four blocks fit into a core's cache. They shape
/// products, and so they are part of the numerics.
const OUTPUTS: usize = 256;
const INPUTS: usize = 512;

/// Values of another layer that are summed at a time.
const VALUES: usize = 4096;

/// A linear layer.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) model: &'a Model,
    pub(super) layer: usize,
}

impl Of<'_> {
    fn gradient<T: Float>(self, place: &Place<T>) -> Option<LinearGradient<'_, T>> {
        place.workspace.linear_gradient(self.model, self.layer)
    }
}

/// What a layer of a node's gradient is made of.
#[derive(Clone, Copy)]
pub(super) struct Making<'a, T> {
    pub(super) step: Step,
    pub(super) node: Node,
    pub(super) places: &'a [Place<T>],
    pub(super) threads: &'a Threads,
    pub(super) pool: &'a Pool<T>,
}

impl<T: Float> Making<'_, T> {
    /// Overwrites `sums` with the sum of what the shards hold.
    pub(super) fn held(self, sums: &mut [T]) {
        let one = Threads::one();
        self.threads.blocks(sums, VALUES, |start, block| {
            let held = |place: &Place<T>, block: &mut [T]| {
                block.copy_from_slice(&place.sums[start..start + block.len()]);
            };
            self.summing(&one, held).sum(self.node, self.places, block);
        });
    }

    /// Overwrites `sums` with the gradient of a linear layer, W \[outputs, inputs\] first, then b.
    pub(super) fn linear(self, (inputs, outputs): (usize, usize), of: Of<'_>, sums: &mut [T]) {
        let (weight, bias) = sums.split_at_mut(inputs * outputs);
        let group = even(outputs, OUTPUTS);
        // Too few groups for all threads: these share the shards of a block instead.
        let one = Threads::one();
        let within = if outputs.div_ceil(group) < self.threads.count() { self.threads } else { &one };
        self.threads.blocks(weight, group * inputs, |start, rows| {
            let first = start / inputs;
            let outputs = first..first + rows.len() / inputs;
            let width = even(inputs, INPUTS);
            if width == inputs {
                return self.block(within, of, outputs, 0..inputs, rows);
            }
            for first in (0..inputs).step_by(width) {
                let columns = first..(first + width).min(inputs);
                self.pool.with(outputs.len() * columns.len(), |block| {
                    self.block(within, of, outputs.clone(), columns.clone(), block);
                    let parts = rows.chunks_exact_mut(inputs).map(|row| &mut row[columns.clone()]);
                    parts
                        .zip(block.chunks_exact(columns.len()))
                        .for_each(|(row, part)| row.copy_from_slice(part));
                });
            }
        });
        if !bias.is_empty() {
            self.held(bias);
        }
    }

    fn block(
        self,
        threads: &Threads,
        of: Of<'_>,
        outputs: Range<usize>,
        inputs: Range<usize>,
        block: &mut [T],
    ) {
        let shard = |place: &Place<T>, block: &mut [T]| {
            let Some(LinearGradient { dy, x, rows }) = of.gradient(place) else { return };
            self.columns(dy, rows, outputs.clone(), |dy| {
                self.columns(x, rows, inputs.clone(), |x| {
                    product::transposed_times(dy, x, block, outputs.len(), rows, inputs.len());
                });
            });
            self.step.round(Node::leaf(place.shard), block);
        };
        self.summing(threads, shard).sum(self.node, self.places, block);
    }

    /// Runs `work` on columns of a matrix of `rows` rows, brought together where they are not all.
    fn columns(self, matrix: &[T], rows: usize, columns: Range<usize>, work: impl FnOnce(&[T])) {
        if columns.len() * rows == matrix.len() {
            return work(matrix);
        }
        self.pool.with(columns.len() * rows, |part| {
            let lines = matrix.chunks_exact(matrix.len() / rows).map(|line| &line[columns.clone()]);
            part.chunks_exact_mut(columns.len())
                .zip(lines)
                .for_each(|(part, line)| part.copy_from_slice(line));
            work(part);
        });
    }

    fn summing<'s, F>(&'s self, threads: &'s Threads, shard: F) -> Summing<'s, T, F> {
        Summing { step: self.step, threads, pool: self.pool, shard }
    }
}

/// The size of equal parts of at most `most`, the last perhaps smaller.
fn even(len: usize, most: usize) -> usize {
    len.div_ceil(len.div_ceil(most).max(1)).max(1)
}
