//! Sums of shards in the reduction tree.

use super::pool::Pool;
use super::{Place, Step, Summary};
use crate::layout::Layout;
use crate::threads::Threads;
use crate::tree::Node;
use crate::{Float, simd, statistics};

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

/// The shards' losses, weights and rows, in tree order.
pub(super) fn summaries<T: Float>(node: Node, places: &[Place<T>]) -> Summary {
    match below(node, places) {
        Below::Nothing => Summary::default(),
        Below::Shard(place) => {
            let (weight, rows) = (place.workspace.weight(), place.workspace.rows() as u64);
            Summary { loss: place.loss, weight, rows }
        }
        Below::Both { node, left, right } => summaries(node, left) + summaries(node, right),
    }
}

/// Overwrites `statistics` with what the node's rows are like, combined in tree order; their number.
pub(super) fn statistics<T: Float>(
    layout: &Layout,
    pool: &Pool<T>,
    node: Node,
    places: &[Place<T>],
    statistics: &mut [T],
) -> u64 {
    let (tracked, range) = (layout.statistics(), layout.trained()..layout.len());
    match below(node, places) {
        Below::Nothing => 0,
        Below::Shard(place) => {
            place.workspace.statistics(tracked, range.start, statistics);
            place.workspace.rows() as u64
        }
        Below::Both { node, left, right } => pool.with(range.len(), |other| {
            let rows = self::statistics(layout, pool, node, left, statistics);
            let other_rows = self::statistics(layout, pool, node, right, other);
            statistics::combine(tracked, &range, (statistics, rows), (other, other_rows));
            rows + other_rows
        }),
    }
}

/// How a part of the vector is summed over shards.
pub(super) struct Summing<'a, T, F> {
    pub(super) step: Step,
    /// Where the two halves of a sum run; with one thread, one after the other.
    pub(super) threads: &'a Threads,
    pub(super) pool: &'a Pool<T>,
    /// Overwrites the part with a shard's own, as it is rounded for travel.
    pub(super) shard: F,
}

impl<T: Float, F: Fn(&Place<T>, &mut [T]) + Sync> Summing<'_, T, F> {
    /// Overwrites `sum` with the node's. Depth first: of each level, one part at most waits.
    pub(super) fn sum(&self, node: Node, places: &[Place<T>], sum: &mut [T]) {
        match below(node, places) {
            Below::Nothing => sum.fill(T::zero()),
            Below::Shard(place) => (self.shard)(place, sum),
            Below::Both { node, left, right } => {
                let (left_child, right_child) = node.children().unwrap_or((node, node));
                self.pool.with(sum.len(), |other| {
                    self.threads
                        .join(|| self.sum(left_child, left, sum), || self.sum(right_child, right, other));
                    simd::wide(
                        #[inline(always)]
                        || {
                            for (sum, other) in sum.iter_mut().zip(other.iter()) {
                                *sum += *other;
                            }
                        },
                    );
                });
                self.step.round(node, sum);
            }
        }
    }
}
