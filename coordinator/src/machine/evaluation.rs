//! The work of one evaluation: which piece of the validation rows is computed by whom.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

use lockstep_core::metrics::Sums;
use lockstep_proto::Session;

use super::assignment::shares;
use super::parts::Parts;

/// The pieces, and their sums as they come in.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pieces: Parts<u32>,
    sums: BTreeMap<u32, Sums>,
}

impl Deref for Work {
    type Target = Parts<u32>;
    fn deref(&self) -> &Parts<u32> {
        &self.pieces
    }
}

impl DerefMut for Work {
    fn deref_mut(&mut self) -> &mut Parts<u32> {
        &mut self.pieces
    }
}

impl Work {
    pub(super) fn new(pieces: u32) -> Self {
        Self { pieces: Parts::new((0..pieces).map(|piece| (piece, None))), sums: BTreeMap::new() }
    }

    /// Spreads pieces without a worker over these, in order, as their costs are. Returns who got some.
    pub(super) fn place(&mut self, workers: &[(Session, u64)]) -> BTreeSet<Session> {
        let free = self.free();
        let costs: Vec<u64> = workers.iter().map(|(_, cost)| *cost).collect();
        let shares = shares(u32::try_from(free.len()).unwrap_or(u32::MAX), &costs);
        let owners = workers
            .iter()
            .zip(shares)
            .flat_map(|((session, _), share)| std::iter::repeat_n(*session, share as usize));
        let mut touched = BTreeSet::new();
        for (piece, session) in free.into_iter().zip(owners) {
            self.pieces.give(piece, session);
            touched.insert(session);
        }
        touched
    }

    /// Takes sums of the pieces that this session was asked for; anything else changes nothing.
    /// Whether all pieces are here.
    pub(super) fn take(&mut self, session: Session, pieces: &[(u32, Sums)]) -> bool {
        for (piece, sums) in pieces {
            if self.pieces.is_asked(session, *piece) {
                self.sums.entry(*piece).or_insert(*sums);
                self.pieces.finish(*piece);
            }
        }
        self.pieces.is_done()
    }

    /// Added in piece order, whoever computed them.
    pub(super) fn total(&self) -> Sums {
        let mut total = Sums::default();
        for sums in self.sums.values() {
            total.add(sums);
        }
        total
    }
}
