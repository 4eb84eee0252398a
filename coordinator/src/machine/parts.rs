//! The parts of a piece of work, nodes of a step or pieces of an evaluation, and who computes them.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_proto::Session;

/// Each part has at most one owner, and may be computed by others too: what comes out is the same.
#[derive(Clone, Debug)]
pub(super) struct Parts<K> {
    owners: BTreeMap<K, Option<Session>>,
    /// Beside the owner.
    also: BTreeMap<K, BTreeSet<Session>>,
    done: BTreeSet<K>,
    /// Whose answer would not do.
    tried: BTreeMap<K, BTreeSet<Session>>,
}

impl<K: Ord + Copy> Parts<K> {
    pub(super) fn new(owners: impl Iterator<Item = (K, Option<Session>)>) -> Self {
        Self {
            owners: owners.collect(),
            also: BTreeMap::new(),
            done: BTreeSet::new(),
            tried: BTreeMap::new(),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = K> {
        self.owners.keys().copied()
    }

    /// Whoever computes a part, the owner first.
    pub(super) fn computers(&self, part: K) -> impl Iterator<Item = Session> {
        let owner = self.owners.get(&part).copied().flatten();
        owner.into_iter().chain(self.also.get(&part).into_iter().flatten().copied())
    }

    /// What the session was asked for, done or not.
    pub(super) fn of(&self, session: Session) -> Vec<K> {
        self.all().filter(|part| self.computers(*part).any(|other| other == session)).collect()
    }

    /// Those of them that are open.
    pub(super) fn open_of(&self, session: Session) -> Vec<K> {
        self.of(session).into_iter().filter(|part| !self.done.contains(part)).collect()
    }

    /// Whether the session was asked for this part.
    pub(super) fn is_asked(&self, session: Session, part: K) -> bool {
        self.computers(part).any(|other| other == session)
    }

    /// Whoever computed it; what is no part changes nothing.
    pub(super) fn finish(&mut self, part: K) {
        if self.owners.contains_key(&part) {
            self.done.insert(part);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.len() == self.owners.len()
    }

    /// The session is gone. Returns the open parts that nobody computes now; of the others, someone else
    /// is the owner.
    pub(super) fn lose(&mut self, session: Session) -> Vec<K> {
        let Self { owners, also, done, .. } = self;
        for others in also.values_mut() {
            others.remove(&session);
        }
        let mut open = Vec::new();
        for (part, owner) in owners.iter_mut().filter(|(_, owner)| **owner == Some(session)) {
            *owner = also.get_mut(part).and_then(BTreeSet::pop_first);
            if owner.is_none() && !done.contains(part) {
                open.push(*part);
            }
        }
        open
    }

    pub(super) fn owner(&self, part: K) -> Option<Session> {
        self.owners.get(&part).copied().flatten()
    }

    /// This session's answer to a part will not do. It computes it no more; whoever helped owns it.
    pub(super) fn tried(&mut self, part: K, session: Session) {
        let Some(owner) = self.owners.get_mut(&part) else { return };
        self.tried.entry(part).or_default().insert(session);
        let also = self.also.entry(part).or_default();
        also.remove(&session);
        if *owner == Some(session) {
            *owner = also.pop_first();
        }
    }

    /// Another session computes it too.
    pub(super) fn join(&mut self, part: K, session: Session) {
        self.also.entry(part).or_default().insert(session);
    }

    /// Whether the session could be asked for it: it was not yet, or in vain.
    pub(super) fn may(&self, part: K, session: Session) -> bool {
        let tried = self.tried.get(&part).is_some_and(|tried| tried.contains(&session));
        !tried && !self.is_asked(session, part)
    }

    /// Whether it is done, or no part.
    pub(super) fn is_over(&self, part: K) -> bool {
        self.done.contains(&part) || !self.owners.contains_key(&part)
    }

    /// Whether it is done, or someone is at it, or it is no part.
    pub(super) fn is_computed(&self, part: K) -> bool {
        self.done.contains(&part) || self.owners.get(&part).is_none_or(Option::is_some)
    }

    /// Open parts without an owner.
    pub(super) fn free(&self) -> Vec<K> {
        let free = self.owners.iter().filter(|(part, owner)| owner.is_none() && !self.done.contains(part));
        free.map(|(part, _)| *part).collect()
    }

    pub(super) fn give(&mut self, part: K, session: Session) {
        self.owners.insert(part, Some(session));
    }

    /// A part without an owner falls into smaller ones.
    pub(super) fn split(&mut self, part: K, into: &[K]) {
        self.owners.remove(&part);
        self.also.remove(&part);
        self.owners.extend(into.iter().map(|part| (*part, None)));
    }

    /// Gives each open part of which fewer computers than it needs are not late also to the idle one that
    /// was given least. Returns who got some.
    pub(super) fn help(
        &mut self,
        late: &BTreeSet<Session>,
        idle: &[Session],
        weight: impl Fn(K) -> u32,
        needs: impl Fn(K) -> usize,
    ) -> BTreeSet<Session> {
        let mut given: BTreeMap<Session, u32> = idle.iter().map(|session| (*session, 0)).collect();
        let mut touched = BTreeSet::new();
        let open: Vec<K> = self.all().filter(|part| !self.done.contains(part)).collect();
        for part in open {
            let computers: Vec<Session> = self.computers(part).collect();
            let in_time = computers.iter().filter(|session| !late.contains(session)).count();
            if computers.is_empty() || in_time >= needs(part) {
                continue;
            }
            let tried = self.tried.get(&part);
            let may = |session: &Session| {
                !computers.contains(session) && !tried.is_some_and(|tried| tried.contains(session))
            };
            let others = given.iter_mut().filter(|(session, _)| may(session));
            let Some((session, given)) = others.min_by_key(|(session, given)| (**given, **session)) else {
                continue;
            };
            *given += weight(part);
            self.also.entry(part).or_default().insert(*session);
            touched.insert(*session);
        }
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Session = Session::new(1, 1);
    const B: Session = Session::new(1, 2);
    const C: Session = Session::new(1, 3);

    #[test]
    fn a_late_workers_parts_are_computed_by_idle_ones_too_and_become_theirs_when_it_is_lost() {
        let mut parts = Parts::new([(1, Some(A)), (2, Some(A)), (3, Some(B)), (4, Some(A))].into_iter());
        parts.finish(2);
        let late = BTreeSet::from([A]);
        assert_eq!(parts.help(&late, &[], |_| 1, |_| 1), BTreeSet::new());
        assert_eq!(parts.help(&late, &[B, C], |_| 1, |_| 1), BTreeSet::from([B, C]));
        assert_eq!((parts.of(B), parts.of(C)), (vec![1, 3], vec![4]));
        assert_eq!(parts.open_of(A), [1, 4]);
        // Only when the helper is late too, someone else helps; nobody helps himself.
        assert_eq!(parts.help(&late, &[B, C], |_| 1, |_| 1), BTreeSet::new());
        assert_eq!(parts.help(&BTreeSet::from([A, B, C]), &[C], |_| 1, |_| 1), BTreeSet::from([C]));
        assert_eq!(parts.of(C), [1, 3, 4]);
        assert_eq!(parts.lose(C), [0; 0]);
        assert_eq!(parts.lose(A), [4]);
        assert_eq!((parts.of(B), parts.free()), (vec![1, 3], vec![4]));
        assert_eq!(parts.lose(B), [1, 3]);
    }
}
