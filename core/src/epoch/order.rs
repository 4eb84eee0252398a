//! The rows of any microbatch, by number.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use super::plan::Plan;
use crate::random::{Purpose, stream};
use crate::run::spec::Data;

/// How the data lies, which decides how an epoch is shuffled. Rows are counted through all blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// Data that fits into memory: so many rows, each a block of its own. A full shuffle; windows would
    /// add nothing.
    Rows(u64),
    /// Blocks are shuffled, then the rows of each span in windows.
    Blocks {
        /// Rows in each block, in the manifest's order.
        lens: Vec<u64>,
        /// Rows in one shuffle window of a span; at least 1.
        window: u64,
    },
}

impl Arrangement {
    /// Whether `rows` rows of `width` values are held whole, and shuffled whole, in this run.
    pub fn is_whole(data: &Data, rows: u64, width: usize) -> bool {
        rows.saturating_mul(width as u64).saturating_mul(4) <= data.in_memory
    }

    /// Of blocks of so many rows each.
    pub fn blocks(data: &Data, lens: Vec<u64>) -> Self {
        Self::Blocks { lens, window: data.shuffle_rows.max(1) }
    }

    /// Rows in all blocks.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Rows(rows) => *rows,
            Self::Blocks { lens, .. } => lens.iter().fold(0, |sum, len| sum.saturating_add(*len)),
        }
    }
}

/// The order of a run's epochs. It keeps what the last microbatches needed, so that going on costs
/// nothing and jumping costs at most a window (and, for another epoch, its permutation).
#[derive(Clone, Debug)]
pub struct Order {
    seed: u64,
    plan: Plan,
    arrangement: Arrangement,
    /// The first row of each block.
    starts: Vec<u64>,
    /// The newest epochs' lists; two, because prefetch runs ahead while the last step may be recomputed.
    lists: VecDeque<(u64, List)>,
    windows: BTreeMap<u32, Window>,
}

/// The blocks of an epoch in their shuffled order.
#[derive(Clone, Debug)]
struct List {
    blocks: Vec<u64>,
    /// Where each of them ends in the list. None for blocks of one row.
    ends: Vec<u64>,
}

/// The shuffled rows of a span's newest window.
#[derive(Clone, Debug)]
struct Window {
    epoch: u64,
    index: u64,
    rows: Vec<u64>,
}

impl Order {
    /// The epochs of a run with this seed; `shards` and `batch` as for [`Plan::new`].
    pub fn new(seed: u64, shards: u32, batch: u64, arrangement: Arrangement) -> Self {
        let plan = Plan::new(arrangement.rows(), shards, batch);
        let starts = match &arrangement {
            Arrangement::Rows(_) => Vec::new(),
            Arrangement::Blocks { lens, .. } => lens
                .iter()
                .scan(0_u64, |end, len| {
                    let start = *end;
                    *end = end.saturating_add(*len);
                    Some(start)
                })
                .collect(),
        };
        Self { seed, plan, arrangement, starts, lists: VecDeque::new(), windows: BTreeMap::new() }
    }

    /// How many rows each step and shard takes.
    pub const fn plan(&self) -> Plan {
        self.plan
    }

    /// The rows of shard s in the k-th step of an epoch, in the order in which they are computed.
    pub fn rows(&mut self, epoch: u64, k: u64, s: u32) -> Vec<u64> {
        let wanted = self.plan.microbatch(k, s);
        if wanted.is_empty() {
            return Vec::new();
        }
        let Arrangement::Blocks { window, .. } = self.arrangement else {
            let start = self.plan.span_start(s);
            return self.listed(epoch, start + wanted.start..start + wanted.end);
        };
        let window = window.max(1);
        let mut rows = Vec::new();
        for index in wanted.start / window..wanted.end.div_ceil(window) {
            let first = index * window;
            let from = wanted.start.max(first) - first;
            let to = wanted.end.min(first.saturating_add(window)) - first;
            let shuffled = self.window(epoch, s, index, window);
            rows.extend_from_slice(shuffled.get(from as usize..to as usize).unwrap_or_default());
        }
        rows
    }

    /// The blocks that hold the window in which shard s is in the k-th step of an epoch (or both, if the step
    /// takes from two): each is needed until the window ends. None for data that is held whole.
    pub fn current(&mut self, epoch: u64, k: u64, s: u32) -> BTreeSet<u64> {
        let Arrangement::Blocks { window, .. } = self.arrangement else { return BTreeSet::new() };
        let (window, wanted, span) = (window.max(1), self.plan.microbatch(k, s), self.plan.span_start(s));
        if wanted.is_empty() {
            return BTreeSet::new();
        }
        let first = wanted.start / window * window;
        let end = wanted.end.div_ceil(window).saturating_mul(window).min(self.plan.span_len(s));
        self.blocks_of(epoch, span + first..span + end)
    }

    /// The blocks that hold the window after the one in which shard s ends the k-th step of an epoch: what
    /// is worth reading ahead. None for data that is held whole.
    pub fn upcoming(&mut self, epoch: u64, k: u64, s: u32) -> BTreeSet<u64> {
        let Arrangement::Blocks { window, .. } = self.arrangement else { return BTreeSet::new() };
        let (window, len) = (window.max(1), self.plan.span_len(s));
        let end = self.plan.microbatch(k, s).end;
        let first = end.div_ceil(window).saturating_mul(window);
        let (epoch, first) = if first < len { (epoch, first) } else { (epoch.saturating_add(1), 0) };
        let span = self.plan.span_start(s);
        let places = span + first..span + first.saturating_add(window).min(len);
        self.blocks_of(epoch, places)
    }

    /// The shuffled rows of a span's window.
    fn window(&mut self, epoch: u64, s: u32, index: u64, len: u64) -> &[u64] {
        let known = self.windows.get(&s).is_some_and(|w| (w.epoch, w.index) == (epoch, index));
        if !known {
            let (start, end) = (index * len, (index * len).saturating_add(len).min(self.plan.span_len(s)));
            let span = self.plan.span_start(s);
            let mut rows = self.listed(epoch, span + start..span + end);
            stream(self.seed, Purpose::ShuffleRows, index, epoch, u64::from(s)).shuffle(&mut rows);
            self.windows.insert(s, Window { epoch, index, rows });
        }
        self.windows.get(&s).map_or(&[], |window| &window.rows)
    }

    /// The blocks at these places of the epoch's list.
    fn blocks_of(&mut self, epoch: u64, places: Range<u64>) -> BTreeSet<u64> {
        // A span may have no rows at all.
        if places.is_empty() {
            return BTreeSet::new();
        }
        let Some(list) = self.known(epoch) else { return BTreeSet::new() };
        let first = list.ends.partition_point(|end| *end <= places.start);
        let last = list.ends.partition_point(|end| *end < places.end);
        list.blocks
            .get(first..=last.min(list.blocks.len().saturating_sub(1)))
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    /// An epoch's list, made if need be.
    fn known(&mut self, epoch: u64) -> Option<&List> {
        if !self.lists.iter().any(|(of, _)| *of == epoch) {
            let list = self.list(epoch);
            self.lists.truncate(1);
            self.lists.push_front((epoch, list));
        }
        self.lists.iter().find(|(of, _)| *of == epoch).map(|(_, list)| list)
    }

    /// The rows at these places of the epoch's list.
    fn listed(&mut self, epoch: u64, places: Range<u64>) -> Vec<u64> {
        self.known(epoch);
        let Some((_, list)) = self.lists.iter().find(|(of, _)| *of == epoch) else { return Vec::new() };
        if list.ends.is_empty() {
            let places = places.start as usize..places.end as usize;
            return list.blocks.get(places).unwrap_or_default().to_vec();
        }
        let mut rows = Vec::new();
        let mut place = places.start;
        let first = list.ends.partition_point(|end| *end <= place);
        for (block, end) in list.blocks.iter().zip(&list.ends).skip(first) {
            if place >= places.end {
                break;
            }
            let start = self.starts.get(*block as usize).copied().unwrap_or_default();
            let (len, stop) = (self.len(*block), places.end.min(*end));
            // The block's first row lies at end - len.
            rows.extend((place..stop).map(|place| start + (place + len - end)));
            place = stop;
        }
        rows
    }

    fn list(&self, epoch: u64) -> List {
        let count = match &self.arrangement {
            Arrangement::Rows(rows) => *rows,
            Arrangement::Blocks { lens, .. } => lens.len() as u64,
        };
        let mut blocks: Vec<u64> = (0..count).collect();
        stream(self.seed, Purpose::ShuffleBlocks, 0, epoch, 0).shuffle(&mut blocks);
        let ends = match self.arrangement {
            Arrangement::Rows(_) => Vec::new(),
            Arrangement::Blocks { .. } => blocks
                .iter()
                .scan(0, |end, block| {
                    *end += self.len(*block);
                    Some(*end)
                })
                .collect(),
        };
        List { blocks, ends }
    }

    /// Rows of a block.
    fn len(&self, block: u64) -> u64 {
        match &self.arrangement {
            Arrangement::Rows(_) => 1,
            Arrangement::Blocks { lens, .. } => lens.get(block as usize).copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn arrangements() -> impl Strategy<Value = Arrangement> {
        prop_oneof![
            (0u64..500).prop_map(Arrangement::Rows),
            (vec(0u64..40, 0..20), 0u64..60).prop_map(|(lens, window)| Arrangement::Blocks { lens, window }),
        ]
    }

    /// More shards than rows: some have nothing to read ahead.
    #[test]
    fn a_span_without_rows_needs_no_block() {
        let mut order = Order::new(7, 2, 5, Arrangement::Blocks { lens: vec![1], window: 1 });
        let upcoming = [0, 1].map(|s| order.upcoming(0, 0, s).len());
        assert_eq!(upcoming.iter().sum::<usize>(), 1);
    }

    proptest! {
        #[test]
        fn every_row_once_an_epoch(
            arrangement in arrangements(),
            seed in 0u64..9,
            shards in 1u32..12,
            more in 0u64..80,
        ) {
            let mut order = Order::new(seed, shards, u64::from(shards) + more, arrangement);
            let plan = order.plan();
            for epoch in 0..2 {
                let mut all = Vec::new();
                for k in 0..plan.steps_per_epoch() {
                    let step: Vec<u64> = (0..shards).flat_map(|s| order.rows(epoch, k, s)).collect();
                    prop_assert_eq!(step.len() as u64, plan.rows_of_step(k));
                    all.extend(step);
                }
                all.sort_unstable();
                prop_assert_eq!(all, (0..plan.rows()).collect::<Vec<_>>());
            }
        }

        #[test]
        fn any_step_is_found_alone(arrangement in arrangements(), jumps in vec((0u64..3, 0u64..30, 0u32..5), 30)) {
            let mut kept = Order::new(7, 5, 23, arrangement.clone());
            for (epoch, k, s) in jumps {
                let alone = Order::new(7, 5, 23, arrangement.clone()).rows(epoch, k, s);
                prop_assert_eq!(kept.rows(epoch, k, s), alone);
            }
        }

        /// What is to be read ahead is what the next window's rows lie in.
        #[test]
        fn upcoming_blocks_hold_the_next_window(
            lens in vec(0u64..40, 1..20),
            window in 1u64..60,
            shards in 1u32..5,
            batch in 5u64..40,
        ) {
            let arrangement = Arrangement::Blocks { lens: lens.clone(), window };
            let mut order = Order::new(7, shards, batch, arrangement);
            let plan = order.plan();
            let block_of = |row: u64| {
                let mut end = 0;
                lens.iter().position(|len| { end += len; row < end }).unwrap() as u64
            };
            for k in 0..plan.steps_per_epoch() {
                for s in 0..shards {
                    let upcoming = order.upcoming(0, k, s);
                    let next = plan.microbatch(k, s).end.div_ceil(window) * window;
                    let rows: Vec<u64> = if next < plan.span_len(s) {
                        order.window(0, s, next / window, window).to_vec()
                    } else {
                        order.window(1, s, 0, window).to_vec()
                    };
                    let expected: BTreeSet<u64> = rows.into_iter().map(block_of).collect();
                    let filled = |blocks: BTreeSet<u64>| -> BTreeSet<u64> {
                        blocks.into_iter().filter(|block| lens[*block as usize] > 0).collect()
                    };
                    prop_assert_eq!(filled(upcoming), expected);
                }
            }
        }

        /// A window of a span holds the same rows, shuffled or not.
        #[test]
        fn rows_stay_in_their_window(lens in vec(1u64..40, 1..20), window in 1u64..60, shards in 1u32..7) {
            let rows = lens.iter().sum();
            let span = |window| {
                let mut order = Order::new(7, shards, rows, Arrangement::Blocks { lens: lens.clone(), window });
                (0..shards).map(|s| order.rows(0, 0, s)).collect::<Vec<_>>()
            };
            for (unshuffled, mut shuffled) in span(1).into_iter().zip(span(window)) {
                let mut expected = unshuffled.clone();
                expected.chunks_mut(window as usize).for_each(<[u64]>::sort_unstable);
                shuffled.chunks_mut(window as usize).for_each(<[u64]>::sort_unstable);
                prop_assert_eq!(shuffled, expected);
            }
        }
    }

    /// With windows of one row a block's rows follow each other in the list.
    #[test]
    fn blocks_are_laid_end_to_end() {
        let lens = vec![3, 1, 0, 4];
        let mut order = Order::new(7, 1, 8, Arrangement::Blocks { lens, window: 1 });
        let epochs: Vec<Vec<u64>> = (0..20).map(|epoch| order.rows(epoch, 0, 0)).collect();
        for rows in &epochs {
            for block in [vec![0, 1, 2], vec![3], vec![4, 5, 6, 7]] {
                assert!(rows.windows(block.len()).any(|window| window == block), "{block:?} in {rows:?}");
            }
        }
        let distinct: std::collections::BTreeSet<_> = epochs.iter().collect();
        assert_eq!(distinct.len(), 6, "each order of the three blocks comes");
    }

    /// Other rows here make every existing run another run. After the script in random.rs:
    ///
    /// ```python
    /// def shuffled(name, items, *rest):
    ///     bits = stream(7, name, *rest)
    ///     for last in range(len(items) - 1, 0, -1):
    ///         other = below(bits, last + 1)
    ///         items[last], items[other] = items[other], items[last]
    ///     return items
    /// full = lambda epoch: shuffled(b"shuffle blocks", list(range(20)), 0, epoch, 0)
    /// print(full(0)[0:4], full(1)[10 + 8:10 + 10])
    /// def window(epoch, shard, index):
    ///     blocks = [list(range(7)), list(range(7, 13)), list(range(13, 20))]
    ///     span = sum(shuffled(b"shuffle blocks", blocks, 0, epoch, 0), [])[10 * shard:][:10]
    ///     return shuffled(b"shuffle rows", span[5 * index:][:5], index, epoch, shard)
    /// print(window(0, 0, 0)[:4], window(1, 1, 0)[4:] + window(1, 1, 1)[:3])
    /// ```
    #[test]
    fn rows_are_pinned() {
        let mut full = Order::new(7, 2, 8, Arrangement::Rows(20));
        assert_eq!(full.rows(0, 0, 0), [1, 19, 3, 10]);
        assert_eq!(full.rows(1, 2, 1), [9, 6]);
        let mut blocks = Order::new(7, 2, 8, Arrangement::Blocks { lens: vec![7, 6, 7], window: 5 });
        assert_eq!(blocks.rows(0, 0, 0), [4, 1, 0, 2]);
        assert_eq!(blocks.rows(1, 1, 1), [0, 6, 5, 2]);
    }
}
