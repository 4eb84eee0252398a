//! The work of one evaluation: which piece of the validation rows is computed by whom.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_core::metrics::Sums;
use lockstep_proto::Session;

/// The pieces, and their sums as they come in.
#[derive(Clone, Debug)]
pub(super) struct Work {
    owners: BTreeMap<u32, Option<Session>>,
    sums: BTreeMap<u32, Sums>,
}

impl Work {
    pub(super) fn new(pieces: u32) -> Self {
        Self { owners: (0..pieces).map(|piece| (piece, None)).collect(), sums: BTreeMap::new() }
    }

    /// Those of the session that are still open, ascending.
    pub(super) fn pieces_of(&self, session: Session) -> Vec<u32> {
        let open = self.owners.iter().filter(|(piece, _)| !self.sums.contains_key(piece));
        open.filter(|(_, owner)| **owner == Some(session)).map(|(piece, _)| *piece).collect()
    }

    /// The session's open pieces have no worker now.
    pub(super) fn lose(&mut self, session: Session) -> Vec<u32> {
        let open = self.pieces_of(session);
        for piece in &open {
            self.owners.insert(*piece, None);
        }
        open
    }

    /// Spreads pieces without a worker over the active ones, in order. Returns who got some.
    pub(super) fn place(&mut self, active: &[Session]) -> BTreeSet<Session> {
        let free: Vec<u32> =
            self.owners.iter().filter(|(_, owner)| owner.is_none()).map(|(piece, _)| *piece).collect();
        let mut touched = BTreeSet::new();
        for (index, piece) in free.iter().enumerate() {
            let Some(session) = active.get(index * active.len() / free.len()) else { break };
            self.owners.insert(*piece, Some(*session));
            touched.insert(*session);
        }
        touched
    }

    /// Takes sums of the pieces that this session was asked for; anything else changes nothing.
    /// Whether all pieces are here.
    pub(super) fn take(&mut self, session: Session, pieces: &[(u32, Sums)]) -> bool {
        for (piece, sums) in pieces {
            if self.owners.get(piece) == Some(&Some(session)) {
                self.sums.entry(*piece).or_insert(*sums);
            }
        }
        self.sums.len() == self.owners.len()
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
