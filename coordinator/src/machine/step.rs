//! The work of one step: which node is computed by whom.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

use lockstep_core::tree::{Node, Tree};
use lockstep_proto::Session;

use super::assignment::count;
use super::audit::Audits;
use super::parts::Parts;

/// Someone who can be given nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) session: Session,
    /// Of a shard.
    pub(super) cost: u64,
    /// Shards that it still has to compute.
    pub(super) load: u32,
}

/// The nodes of a step. They never overlap. A live worker's node is never split; what a lost one left is,
/// so that several compute it again.
#[derive(Clone, Debug)]
pub(super) struct Work {
    tree: Tree,
    present: Vec<bool>,
    nodes: Parts<Node>,
    pub(super) audits: Audits,
}

impl Deref for Work {
    type Target = Parts<Node>;
    fn deref(&self) -> &Parts<Node> {
        &self.nodes
    }
}

impl DerefMut for Work {
    fn deref_mut(&mut self) -> &mut Parts<Node> {
        &mut self.nodes
    }
}

impl Work {
    /// Nodes all of whose shards are absent are left out.
    pub(super) fn new(tree: Tree, present: Vec<bool>, assigned: &BTreeMap<Session, Vec<Node>>) -> Self {
        let owned =
            assigned.iter().flat_map(|(session, nodes)| nodes.iter().map(|node| (*node, Some(*session))));
        let nodes = Parts::new(owned.filter(|(node, _)| has_rows(&present, *node)));
        Self { tree, present, nodes, audits: Audits::default() }
    }

    /// What the session was asked for, in shard order.
    pub(super) fn nodes_of(&self, session: Session) -> Vec<Node> {
        let mut nodes = self.of(session);
        nodes.sort_by_key(|node| node.shards().start);
        nodes
    }

    /// How many shards of it are open.
    pub(super) fn load(&self, session: Session) -> u32 {
        count(self.tree, &self.open_of(session))
    }

    /// The owner's gradient of a node will not do: whoever of these would be done with it first gets it,
    /// whole. `None` if nobody does, or someone else computes it already.
    pub(super) fn give_again(&mut self, node: Node, by: Session, to: &[Candidate]) -> Option<Session> {
        self.nodes.tried(node, by);
        if self.nodes.is_computed(node) {
            return None;
        }
        let done = |one: &&Candidate| (u128::from(one.cost.max(1)) * u128::from(one.load + 1), one.session);
        let Some(first) = to.iter().min_by_key(done) else {
            self.nodes.give(node, by);
            return None;
        };
        self.nodes.give(node, first.session);
        Some(first.session)
    }

    /// Gives the open nodes without a worker, split so that all can help, to whoever would be done with
    /// them first. Returns who got some, and the nodes that are new.
    pub(super) fn place(&mut self, candidates: &[Candidate]) -> (BTreeSet<Session>, Vec<Node>) {
        let mut free = self.free();
        let mut split = Vec::new();
        let share = count(self.tree, &free).div_ceil((candidates.len() as u32).max(1));
        while let Some(index) = free.iter().position(|node| count(self.tree, &[*node]) > share) {
            let node = free.swap_remove(index);
            let Some((left, right)) = node.children() else { continue };
            let halves: Vec<Node> =
                [left, right].into_iter().filter(|half| has_rows(&self.present, *half)).collect();
            self.nodes.split(node, &halves);
            self.audits.forget(node);
            split.retain(|other| *other != node);
            free.extend(&halves);
            split.extend(&halves);
        }
        free.sort_by_key(|node| (std::cmp::Reverse(node.level), node.position));
        let mut loads: Vec<Candidate> = candidates.to_vec();
        let mut touched = BTreeSet::new();
        for node in free {
            let shards = count(self.tree, &[node]);
            let done = |one: &&mut Candidate| {
                (u128::from(one.cost.max(1)) * u128::from(one.load + shards), one.session)
            };
            let Some(first) = loads.iter_mut().min_by_key(done) else { break };
            first.load += shards;
            touched.insert(first.session);
            self.nodes.give(node, first.session);
        }
        (touched, split)
    }

    /// Gives each open audited node that too few compute to whoever of these would be done with it first.
    /// Returns who got some, and the nodes for which there is nobody and one copy is enough.
    pub(super) fn cover_audits(&mut self, candidates: &[Candidate]) -> (BTreeSet<Session>, Vec<Node>) {
        let mut candidates = candidates.to_vec();
        let (mut touched, mut alone) = (BTreeSet::new(), Vec::new());
        let mut audited = self.audits.nodes();
        audited.sort_by_key(|node| (std::cmp::Reverse(node.level), node.position));
        for node in audited {
            let shards = count(self.tree, &[node]);
            while !self.is_over(node) && self.lacks(node) {
                let Self { nodes, audits, .. } = self;
                let others = candidates.iter_mut().filter(|one| nodes.may(node, one.session));
                let done = |one: &&mut Candidate| {
                    (u128::from(one.cost.max(1)) * u128::from(one.load + shards), one.session)
                };
                let Some(first) = others.min_by_key(done) else {
                    alone.extend(Some(node).filter(|node| audits.give_up(*node)));
                    break;
                };
                first.load += shards;
                nodes.join(node, first.session);
                touched.insert(first.session);
            }
        }
        (touched, alone)
    }

    /// Someone computes it, and too few do. What nobody computes is given to an owner first.
    fn lacks(&self, node: Node) -> bool {
        let computers = self.computers(node).count();
        computers > 0 && computers < self.needs(node)
    }

    /// How many have to compute it.
    pub(super) fn needs(&self, node: Node) -> usize {
        self.audits.needs(node, self.computers(node))
    }
}

fn has_rows(present: &[bool], node: Node) -> bool {
    node.shards().any(|shard| present.get(shard as usize).copied().unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Session = Session::new(1, 1);
    const B: Session = Session::new(1, 2);
    const C: Session = Session::new(1, 3);

    fn node(level: u8, position: u32) -> Node {
        Node { level, position }
    }

    fn candidate(session: Session, cost: u64, load: u32) -> Candidate {
        Candidate { session, cost, load }
    }

    #[test]
    fn lost_nodes_are_split_among_those_who_are_done_first_and_finished_ones_go_to_nobody() {
        let assigned = BTreeMap::from([(A, vec![node(2, 0), node(0, 6)]), (B, vec![node(1, 2), node(0, 7)])]);
        let mut work = Work::new(Tree::new(8), vec![true; 8], &assigned);
        work.finish(node(0, 6));
        assert_eq!(work.lose(A), [node(2, 0)]);
        assert_eq!(work.place(&[]), (BTreeSet::new(), vec![]));
        let (touched, new) = work.place(&[candidate(B, 10, 1), candidate(C, 10, 0)]);
        assert_eq!((touched, new), (BTreeSet::from([B, C]), vec![node(1, 0), node(1, 1)]));
        assert_eq!(work.nodes_of(B), [node(1, 1), node(1, 2), node(0, 7)]);
        assert_eq!((work.nodes_of(C), work.load(C)), (vec![node(1, 0)], 2));
        assert_eq!(work.place(&[candidate(C, 1, 0)]).0, BTreeSet::new());
    }

    #[test]
    fn a_slow_one_gets_nothing_that_a_fast_one_does_sooner() {
        let mut work = Work::new(Tree::new(2), vec![true; 2], &BTreeMap::from([(A, vec![node(1, 0)])]));
        work.lose(A);
        work.place(&[candidate(B, 10, 1), candidate(C, 50, 0)]);
        assert_eq!((work.nodes_of(B), work.nodes_of(C)), (vec![node(0, 0), node(0, 1)], vec![]));
    }

    #[test]
    fn nodes_without_rows_are_nobodys() {
        let assigned = BTreeMap::from([(A, vec![node(1, 0)]), (B, vec![node(1, 1)])]);
        let mut work = Work::new(Tree::new(4), vec![true, false, false, false], &assigned);
        assert_eq!(work.all().collect::<Vec<_>>(), [node(1, 0)]);
        work.lose(A);
        work.place(&[candidate(B, 1, 0), candidate(C, 1, 0)]);
        assert_eq!((work.nodes_of(B), work.nodes_of(C)), (vec![node(0, 0)], vec![]));
    }
}
