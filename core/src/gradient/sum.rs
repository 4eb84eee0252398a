//! Sums of shards in the reduction tree, block by block so that they stay in cache.

use super::{Place, Step, Summary};
use crate::Float;
use crate::simd;
use crate::threads::Threads;
use crate::tree::Node;

/// Values summed at a time: small enough that a block of each level of the tree stays in cache.
const BLOCK: usize = 4096;

/// What lies below a node once absent siblings have been passed through.
enum Below<'a, T> {
    Nothing,
    Shard(&'a Place<T>),
    Both { node: Node, left: &'a [Place<T>], right: &'a [Place<T>] },
}

/// `places`, in ascending order, are those below `node`.
fn below<T>(mut node: Node, places: &[Place<T>]) -> Below<'_, T> {
    match places {
        [] => return Below::Nothing,
        [place] => return Below::Shard(place),
        _ => {}
    }
    while let Some((left_child, right_child)) = node.children() {
        let middle = places.partition_point(|place| place.shard < right_child.shards().start);
        match places.split_at(middle) {
            (left, []) if left.len() == places.len() => node = left_child,
            ([], _) => node = right_child,
            (left, right) => return Below::Both { node, left, right },
        }
    }
    Below::Nothing
}

/// The shards' losses and rows, in tree order.
pub(super) fn summaries<T: Float>(node: Node, places: &[Place<T>]) -> Summary {
    match below(node, places) {
        Below::Nothing => Summary::default(),
        Below::Shard(place) => {
            let rows = place.workspace.rows() as u64;
            Summary { loss: place.loss, weight: rows as f64, rows }
        }
        Below::Both { node, left, right } => summaries(node, left) + summaries(node, right),
    }
}

/// One layer of the node's gradient.
pub(super) fn layer<T: Float>(
    step: Step,
    node: Node,
    places: &[Place<T>],
    sums: &mut [T],
    threads: &Threads,
) {
    threads.blocks(sums, BLOCK, |start, block| {
        let mut spare = vec![T::zero(); usize::from(node.level) * block.len()];
        sum_block(step, node, places, start, block, &mut spare);
    });
}

/// Values `start..` of the node's sum. `spare` holds a block for each level below.
fn sum_block<T: Float>(
    step: Step,
    node: Node,
    places: &[Place<T>],
    start: usize,
    block: &mut [T],
    spare: &mut [T],
) {
    let len = block.len();
    match below(node, places) {
        Below::Nothing => block.fill(T::zero()),
        Below::Shard(place) => block.copy_from_slice(&place.sums[start..start + len]),
        Below::Both { node, left: [left], right: [right] } => {
            let (left, right) = (&left.sums[start..start + len], &right.sums[start..start + len]);
            simd::wide(
                #[inline(always)]
                || {
                    for ((sum, left), right) in block.iter_mut().zip(left).zip(right) {
                        *sum = *left + *right;
                    }
                },
            );
            step.round(node, block);
        }
        Below::Both { node, left, right } => {
            sum_block(step, node, left, start, block, spare);
            let (other, spare) = spare.split_at_mut(len);
            sum_block(step, node, right, start, other, spare);
            simd::wide(
                #[inline(always)]
                || {
                    for (sum, other) in block.iter_mut().zip(other) {
                        *sum += *other;
                    }
                },
            );
            step.round(node, block);
        }
    }
}
