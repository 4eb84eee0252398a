//! Each row of an epoch is used exactly once, and each validation row once in an evaluation.
//!
//! Workers record the rows of what they compute, the coordinator's side records which nodes it took for
//! each chunk; a committed step must be made of each shard once, and an epoch of each row once.

use std::collections::BTreeMap;
use std::ops::Range;

use lockstep_coordinator::progress::StepRecord;
use lockstep_core::metrics::Sums;
use lockstep_core::tree::Node;
use lockstep_proto::message::Gradient;

use super::Verdict;
use crate::sim::case::Case;

#[derive(Debug, Default)]
pub(in crate::sim) struct Rows {
    /// Of each (step, shard), as whoever computed it loaded them.
    computed: BTreeMap<(u64, u32), Vec<u64>>,
    /// For each (step, chunk), the nodes that were taken.
    accepted: BTreeMap<(u64, u32), Vec<Node>>,
    /// Rows of each committed step.
    committed: BTreeMap<u64, Vec<u64>>,
    /// Of each (step, piece).
    pieces: BTreeMap<(u64, u32), Range<u64>>,
}

impl Rows {
    pub(super) fn start(&mut self) {
        self.accepted.clear();
    }

    /// A worker has loaded a microbatch.
    pub(in crate::sim) fn computed(&mut self, step: u64, shard: u32, rows: Vec<u64>) -> Verdict {
        let first = self.computed.entry((step, shard)).or_insert_with(|| rows.clone());
        if *first != rows {
            return Err(format!("rows: shard {shard} of step {step} was {first:?} and is {rows:?} now"));
        }
        Ok(())
    }

    /// A worker has evaluated a piece.
    pub(in crate::sim) fn evaluated(&mut self, step: u64, piece: u32, rows: Range<u64>) {
        self.pieces.insert((step, piece), rows);
    }

    /// The coordinator has taken a chunk.
    pub(in crate::sim) fn accepted(&mut self, gradient: &Gradient) {
        self.accepted.entry((gradient.step, gradient.chunk)).or_default().push(gradient.node);
    }

    /// W(record.step) is here.
    pub(super) fn step(&mut self, case: &Case, record: &StepRecord) -> Verdict {
        let step = record.step - 1;
        let in_epoch = step % case.plan.steps_per_epoch();
        let present = |shard: &u32| !case.plan.microbatch(in_epoch, *shard).is_empty();
        let wanted: Vec<u32> = (0..case.plan.shards()).filter(present).collect();
        for chunk in 0..case.chunks.len() as u32 {
            let nodes = self.accepted.get(&(step, chunk)).cloned().unwrap_or_default();
            let mut shards: Vec<u32> = nodes.iter().flat_map(|node| node.shards()).filter(present).collect();
            shards.sort_unstable();
            if shards != wanted {
                return Err(format!(
                    "rows: chunk {chunk} of step {step} is made of shards {shards:?}, not {wanted:?}"
                ));
            }
        }
        let rows = wanted.iter().filter_map(|shard| self.computed.get(&(step, *shard)));
        let rows: Vec<u64> = rows.flatten().copied().collect();
        if record.rows != rows.len() as u64 {
            return Err(format!("rows: step {step} counts {} rows of {}", record.rows, rows.len()));
        }
        self.committed.insert(step, rows);
        Ok(())
    }

    /// A step was left out: only one whose numbers are not finite may be.
    pub(super) fn skipped(&mut self, case: &Case, step: u64) -> Verdict {
        let in_epoch = step % case.plan.steps_per_epoch();
        let mut order = case.order();
        let present = (0..case.plan.shards()).filter(|s| !case.plan.microbatch(in_epoch, *s).is_empty());
        let rows: Vec<u64> = present.flat_map(|shard| case.rows(&mut order, step, shard)).collect();
        if case.left_out(step).is_none() {
            return Err(format!("rows: step {step} was left out, although nothing is wrong with it"));
        }
        self.committed.insert(step, rows);
        Ok(())
    }

    pub(super) fn evaluation(&self, case: &Case, step: u64, sums: &Sums) -> Verdict {
        let pieces = (0..case.pieces.len() as u32).filter_map(|piece| self.pieces.get(&(step, piece)));
        let rows: Vec<u64> = pieces.cloned().flatten().collect();
        let all: Vec<u64> = (0..case.pieces.last().map_or(0, |last| last.end)).collect();
        if rows != all || sums.rows != all.len() as u64 {
            return Err(format!("rows: W({step}) was evaluated on {rows:?}, counted {}", sums.rows));
        }
        Ok(())
    }

    /// The run has ended.
    pub(in crate::sim) fn finish(&self, case: &Case) -> Verdict {
        let steps = case.plan.steps_per_epoch();
        for first in (0..case.total_steps).step_by(steps as usize) {
            let mut rows: Vec<u64> =
                self.committed.range(first..first + steps).flat_map(|(_, rows)| rows.clone()).collect();
            rows.sort_unstable();
            if rows != (0..case.plan.rows()).collect::<Vec<_>>() {
                return Err(format!("rows: the epoch from step {first} on used {rows:?}"));
            }
        }
        Ok(())
    }
}
