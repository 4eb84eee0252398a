//! Which worker computes which shards: a pure function of the tree and of how fast the workers are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lockstep_core::tree::{Node, Tree};
use lockstep_proto::Session;

/// A run of consecutive shards for each worker, in their order, cut into the fewest nodes.
///
/// `workers` come with what a shard costs them, in any unit of time. Shards are dealt so that the last
/// worker is done as early as can be; so one that is twice as fast gets twice as many. Whoever would only
/// hold the others up gets none: too many workers, or far too slow ones, are hot spares. Of equals the
/// first get more.
pub fn assign(tree: Tree, workers: &[(Session, u64)]) -> Vec<(Session, Vec<Node>)> {
    let costs: Vec<u64> = workers.iter().map(|(_, cost)| *cost).collect();
    let mut start = 0;
    let mut assigned = Vec::new();
    for ((session, _), share) in workers.iter().zip(shares(tree.shards(), &costs)) {
        if share > 0 {
            assigned.push((*session, tree.cover(start..start + share)));
            start += share;
        }
    }
    assigned
}

/// How many shards each gets.
pub(super) fn shares(shards: u32, costs: &[u64]) -> Vec<u32> {
    let mut shares = vec![0; costs.len()];
    // The worker that would be done first with one shard more.
    let mut queue: BinaryHeap<_> =
        costs.iter().enumerate().map(|(worker, cost)| Reverse((u128::from(*cost).max(1), worker))).collect();
    for _ in 0..shards {
        let Some(Reverse((done, worker))) = queue.pop() else { break };
        if let (Some(share), Some(cost)) = (shares.get_mut(worker), costs.get(worker)) {
            *share += 1;
            queue.push(Reverse((done + u128::from(*cost).max(1), worker)));
        }
    }
    shares
}

/// When the last worker is done, in the unit of the costs, with these nodes each. A worker that is not
/// among `workers` is never done.
pub(super) fn done(tree: Tree, assigned: &[(Session, Vec<Node>)], workers: &[(Session, u64)]) -> u128 {
    let cost = |session: &Session| {
        let found = workers.iter().find(|(worker, _)| worker == session);
        found.map_or(u128::MAX >> 32, |(_, cost)| u128::from(*cost))
    };
    let last = assigned.iter().map(|(session, nodes)| cost(session) * u128::from(count(tree, nodes)));
    last.max().unwrap_or(0)
}

/// How many shards lie below the nodes.
pub(super) fn count(tree: Tree, nodes: &[Node]) -> u32 {
    let below = |node: &Node| node.shards().end.min(tree.shards()).saturating_sub(node.shards().start);
    nodes.iter().map(below).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn workers(costs: &[u64]) -> Vec<(Session, u64)> {
        costs.iter().zip(1..).map(|(cost, n)| (Session::new(1, n), *cost)).collect()
    }

    #[test]
    fn shards_follow_speed() {
        let table = |shards, costs: &[u64]| {
            let assigned = assign(Tree::new(shards), &workers(costs));
            let words = assigned.iter().map(|(session, nodes)| {
                let nodes = nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                format!("{}: {nodes}", session.to_u64() & 0xff)
            });
            words.collect::<Vec<_>>().join(" | ")
        };
        assert_eq!(table(8, &[]), "");
        assert_eq!(table(8, &[7]), "1: 0-7");
        assert_eq!(table(8, &[7, 7]), "1: 0-3 | 2: 4-7");
        assert_eq!(table(8, &[7, 7, 7]), "1: 0-1 2 | 2: 3 4-5 | 3: 6-7");
        assert_eq!(table(6, &[7, 7]), "1: 0-1 2 | 2: 3 4-7");
        assert_eq!(table(2, &[7, 7, 7, 7, 7]), "1: 0 | 2: 1");
        // Twice as fast.
        assert_eq!(table(6, &[10, 5]), "1: 0-1 | 2: 2-3 4-7");
        // 40, 40, 40 and 10 % of a core.
        assert_eq!(table(16, &[25, 25, 25, 100]), "1: 0-3 4 | 2: 5 6-7 8-9 | 3: 10-11 12-13 14 | 4: 15");
        // One shard of the slow one would take longer than all of them on the fast ones.
        assert_eq!(table(4, &[10, 90, 10]), "1: 0-1 | 3: 2-3");
        assert_eq!(table(4, &[0, 0]), "1: 0-1 | 2: 2-3");
        assert_eq!(table(4, &[u64::MAX, u64::MAX]), "1: 0-1 | 2: 2-3");
    }

    proptest! {
        #[test]
        fn every_shard_is_someones_and_moving_one_never_helps(
            shards in 1u32..40,
            costs in proptest::collection::vec(1u64..100, 1..8),
        ) {
            let tree = Tree::new(shards);
            let workers = workers(&costs);
            let assigned = assign(tree, &workers);
            let all: u32 = assigned.iter().map(|(_, nodes)| count(tree, nodes)).sum();
            prop_assert_eq!(all, shards);
            let found = shares(shards, &costs);
            let time = |shares: &[u32]| {
                shares.iter().zip(&costs).map(|(n, cost)| u64::from(*n) * cost).max().unwrap()
            };
            for from in 0..costs.len() {
                for to in 0..costs.len() {
                    let mut moved = found.clone();
                    if from != to && moved[from] > 0 {
                        moved[from] -= 1;
                        moved[to] += 1;
                        prop_assert!(time(&moved) >= time(&found));
                    }
                }
            }
            prop_assert_eq!(done(tree, &assigned, &workers), u128::from(time(&found)));
        }
    }
}
