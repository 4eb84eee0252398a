//! Which worker computes which shards.

use lockstep_core::tree::{Node, Tree};
use lockstep_proto::Session;

/// A run of consecutive shards for each worker, as equal as can be, in the order of their sessions.
/// More workers than shards are hot spares and get none.
pub fn assign(tree: Tree, workers: &[Session]) -> Vec<(Session, Vec<Node>)> {
    let shards = u64::from(tree.shards());
    let used = (workers.len() as u64).min(shards);
    let bound = |index: u64| (shards * index / used.max(1)) as u32;
    let ranges = (0..used).map(|index| bound(index)..bound(index + 1));
    workers.iter().copied().zip(ranges).map(|(session, range)| (session, tree.cover(range))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_spread_evenly_and_spares_get_none() {
        let table = |shards, workers: u32| {
            let sessions: Vec<_> = (1..=workers).map(|n| Session::new(1, n)).collect();
            let assigned = assign(Tree::new(shards), &sessions);
            let words = assigned
                .iter()
                .map(|(_, nodes)| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            words.collect::<Vec<_>>().join(" | ")
        };
        assert_eq!(table(8, 0), "");
        assert_eq!(table(8, 1), "0-7");
        assert_eq!(table(8, 2), "0-3 | 4-7");
        assert_eq!(table(8, 3), "0-1 | 2-3 4 | 5 6-7");
        assert_eq!(table(6, 2), "0-1 2 | 3 4-7");
        assert_eq!(table(2, 5), "0 | 1");
    }
}
