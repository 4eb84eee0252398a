//! The work of one step: which node is computed by whom.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_core::tree::Node;
use lockstep_proto::Session;

/// The nodes of a step. They never overlap and are never split; a lost worker's go to others whole.
#[derive(Clone, Debug)]
pub(super) struct Work {
    owners: BTreeMap<Node, Option<Session>>,
    done: BTreeSet<Node>,
}

impl Work {
    /// Nodes all of whose shards are absent are left out.
    pub(super) fn new(present: &[bool], assigned: &BTreeMap<Session, Vec<Node>>) -> Self {
        let has_rows =
            |node: &Node| node.shards().any(|shard| present.get(shard as usize).copied().unwrap_or(false));
        let owned =
            assigned.iter().flat_map(|(session, nodes)| nodes.iter().map(|node| (*node, Some(*session))));
        Self { owners: owned.filter(|(node, _)| has_rows(node)).collect(), done: BTreeSet::new() }
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = Node> {
        self.owners.keys().copied()
    }

    /// In shard order.
    pub(super) fn nodes_of(&self, session: Session) -> Vec<Node> {
        let mut nodes: Vec<Node> =
            self.owners.iter().filter(|(_, owner)| **owner == Some(session)).map(|(node, _)| *node).collect();
        nodes.sort_by_key(|node| node.shards().start);
        nodes
    }

    pub(super) fn owner(&self, node: Node) -> Option<Session> {
        self.owners.get(&node).copied().flatten()
    }

    /// Gives a node to the one of these with the fewest shards.
    pub(super) fn give(&mut self, node: Node, to: &[Session]) -> Option<Session> {
        if self.done.contains(&node) {
            return None;
        }
        let owner = self.owners.get_mut(&node)?;
        let before = owner.take();
        if to.is_empty() {
            *owner = before;
            return None;
        }
        self.place(to);
        self.owner(node)
    }

    pub(super) fn done(&mut self, node: Node) {
        if self.owners.contains_key(&node) {
            self.done.insert(node);
        }
    }

    /// The session's open nodes have no worker now; they are named.
    pub(super) fn lose(&mut self, session: Session) -> Vec<Node> {
        let done = &self.done;
        let mut open = Vec::new();
        for (node, owner) in &mut self.owners {
            if *owner == Some(session) {
                *owner = None;
                if !done.contains(node) {
                    open.push(*node);
                }
            }
        }
        open
    }

    /// Gives each open node without a worker to the one with the fewest shards. Returns who got some.
    pub(super) fn place(&mut self, active: &[Session]) -> BTreeSet<Session> {
        let mut load: BTreeMap<Session, u32> = active.iter().map(|session| (*session, 0)).collect();
        for (node, owner) in &self.owners {
            if let Some(load) = owner.and_then(|owner| load.get_mut(&owner)) {
                *load += 1 << node.level;
            }
        }
        let mut touched = BTreeSet::new();
        for (node, owner) in &mut self.owners {
            if owner.is_some() || self.done.contains(node) {
                continue;
            }
            let least = load.iter().min_by_key(|(session, load)| (**load, **session));
            let Some(least) = least.map(|(session, _)| *session) else { break };
            *owner = Some(least);
            touched.insert(least);
            load.entry(least).and_modify(|load| *load += 1 << node.level);
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
    fn lost_nodes_go_to_the_idlest_and_finished_ones_to_nobody() {
        let node = |level, position| Node { level, position };
        let assigned = BTreeMap::from([(A, vec![node(1, 0), node(0, 2)]), (B, vec![node(0, 3), node(2, 1)])]);
        let mut work = Work::new(&[true; 8], &assigned);
        work.done(node(0, 2));
        assert_eq!(work.lose(A), [node(1, 0)]);
        assert_eq!(work.place(&[]), BTreeSet::new());
        assert_eq!(work.place(&[B, C]), BTreeSet::from([C]));
        assert_eq!(work.nodes_of(C), [node(1, 0)]);
        assert_eq!(work.place(&[B, C]), BTreeSet::new());
    }

    #[test]
    fn nodes_without_rows_are_nobodys() {
        let assigned = BTreeMap::from([(A, vec![Node::leaf(0)]), (B, vec![Node::leaf(1)])]);
        let work = Work::new(&[false, true], &assigned);
        assert_eq!(work.nodes().collect::<Vec<_>>(), [Node::leaf(1)]);
    }
}
