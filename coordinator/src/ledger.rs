//! The ledger of a step: which (node, chunk) is wanted, granted, here, applied.
//!
//! ```text
//!            wanted ──grant──▶ granted ──accept──▶ here ──sibling here──▶ here, one level up
//!                                                    └──at the root──▶ applied
//! ```
//!
//! For every chunk the nodes that are here never overlap, so a chunk that arrives twice, or below one
//! that is here, is not wanted and is refused. A step is committed when every chunk is applied.
//!
//! Memory is bounded by grants: chunks are granted in upload order (the last chunk of the vector
//! first), all nodes of one chunk before the next, at most `window` past those that reached the root.

use lockstep_core::gradient::Summary;
use lockstep_core::tree::{Node, Tree};

/// Why a chunk was refused. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// No such step is open.
    #[error("of another step")]
    OtherStep,
    /// The vector has fewer chunks.
    #[error("no such chunk")]
    NoSuchChunk,
    /// Nobody was asked for this node in this step.
    #[error("a node that was not assigned")]
    NotAssigned,
    /// Sent ahead of its grant.
    #[error("not granted")]
    NotGranted,
    /// It is here already, alone or in a sum.
    #[error("here already")]
    NotWanted,
    /// The payload has another length than the chunk.
    #[error("wrong length")]
    WrongLength,
    /// It holds an infinity or a NaN.
    #[error("not finite")]
    NotFinite,
    /// The session has ended.
    #[error("of an ended session")]
    Ended,
}

impl Refusal {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::OtherStep,
        Self::NoSuchChunk,
        Self::NotAssigned,
        Self::NotGranted,
        Self::NotWanted,
        Self::WrongLength,
        Self::NotFinite,
        Self::Ended,
    ];

    /// A label of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtherStep => "other_step",
            Self::NoSuchChunk => "no_such_chunk",
            Self::NotAssigned => "not_assigned",
            Self::NotGranted => "not_granted",
            Self::NotWanted => "here_already",
            Self::WrongLength => "wrong_length",
            Self::NotFinite => "not_finite",
            Self::Ended => "ended_session",
        }
    }
}

/// Where an accepted chunk goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted<'a> {
    /// Add these, in this order; each was here until now.
    pub siblings: &'a [Merge],
    /// The sum is now here as this node.
    pub at: Node,
    /// Of `at`.
    pub summary: Summary,
    /// `at` is the root.
    pub root: bool,
    /// Every chunk of the node as it was sent is here now.
    pub node_done: bool,
    /// A new limit of grants, if it moved.
    pub granted: Option<u32>,
}

/// One addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The sum that was waiting.
    pub waiting: Node,
    /// The rows it is over.
    pub rows: u64,
    /// What the sum of both is.
    pub parent: Node,
}

/// The books of one step at a time. Their pages are used again in the next.
#[derive(Clone, Debug)]
pub struct Ledger {
    tree: Tree,
    chunks: u32,
    window: u32,
    open: Option<Open>,
    closed: Option<Open>,
    /// Of the chunk that was accepted last.
    siblings: Vec<Merge>,
}

#[derive(Clone, Debug, Default)]
struct Open {
    step: u64,
    present: Vec<bool>,
    /// In ascending order, and how many of its chunks have come.
    assigned: Vec<(Node, u32)>,
    /// For each chunk, the nodes that wait for their sibling.
    here: Vec<Vec<(Node, Summary)>>,
    /// For each chunk, whether its root is here.
    roots: Vec<bool>,
    /// How many are.
    done: u32,
    /// In upload order, how many chunks from the first on have reached the root.
    front: u32,
    granted: u32,
}

impl Ledger {
    /// For vectors of so many chunks; `window` chunks are granted ahead.
    pub fn new(tree: Tree, chunks: u32, window: u32) -> Self {
        Self { tree, chunks, window: window.max(1), open: None, closed: None, siblings: Vec::new() }
    }

    /// Opens a step, in which the shards that have rows are `present`.
    pub fn begin(&mut self, step: u64, present: &[bool]) {
        self.close();
        let mut open = self.closed.take().unwrap_or_default();
        open.step = step;
        open.present.clear();
        open.present.extend_from_slice(present);
        open.assigned.clear();
        open.here.iter_mut().for_each(Vec::clear);
        open.here.resize_with(self.chunks as usize, Vec::new);
        open.roots.clear();
        open.roots.resize(self.chunks as usize, false);
        (open.done, open.front) = (0, 0);
        open.granted = self.window.min(self.chunks);
        self.open = Some(open);
    }

    /// From now on these nodes are wanted.
    pub fn assign(&mut self, nodes: &[Node]) {
        if let Some(open) = &mut self.open {
            for node in nodes.iter().filter(|node| self.tree.contains(**node)) {
                if let Err(place) = open.assigned.binary_search_by_key(node, |(node, _)| *node) {
                    open.assigned.insert(place, (*node, 0));
                }
            }
        }
    }

    /// The open step, if it is not complete.
    pub fn step(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.step)
    }

    /// Whether no chunk has reached the root of the open step.
    pub fn untouched(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.done == 0)
    }

    /// How many chunks of a node may be sent, in upload order.
    pub fn granted(&self) -> u32 {
        self.open.as_ref().map_or(0, |open| open.granted)
    }

    /// How many sums wait for a sibling: each is a chunk in memory.
    pub fn waiting(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.here.iter().map(Vec::len).sum())
    }

    /// The most sums that can ever wait at once, given the grants.
    pub fn most_waiting(&self) -> usize {
        self.open.as_ref().map_or(0, |open| self.window as usize * open.assigned.len())
    }

    /// Whether the chunk may be taken; changes nothing.
    pub fn check(&self, step: u64, node: Node, chunk: u32) -> Result<(), Refusal> {
        let open = self.open.as_ref().filter(|open| open.step == step).ok_or(Refusal::OtherStep)?;
        let here = open.here.get(chunk as usize).ok_or(Refusal::NoSuchChunk)?;
        if open.assigned.binary_search_by_key(&node, |(node, _)| *node).is_err() {
            return Err(Refusal::NotAssigned);
        }
        if self.rank(chunk) >= open.granted {
            return Err(Refusal::NotGranted);
        }
        let rooted = open.roots.get(chunk as usize).copied().unwrap_or(true);
        if rooted || here.iter().any(|(other, _)| other.overlaps(node)) {
            return Err(Refusal::NotWanted);
        }
        Ok(())
    }

    /// Takes a chunk. The caller does the additions that the answer names.
    pub fn accept(
        &mut self,
        step: u64,
        node: Node,
        chunk: u32,
        summary: Summary,
    ) -> Result<Accepted<'_>, Refusal> {
        self.check(step, node, chunk)?;
        let (tree, chunks, window) = (self.tree, self.chunks, self.window);
        let open = self.open.as_mut().ok_or(Refusal::OtherStep)?;
        let here = open.here.get_mut(chunk as usize).ok_or(Refusal::NoSuchChunk)?;

        let mut at = node;
        let mut summary = summary;
        self.siblings.clear();
        while at != tree.root() {
            let sibling = at.sibling();
            if is_present(tree, &open.present, sibling) {
                let Some(place) = here.iter().position(|(node, _)| *node == sibling) else { break };
                let (_, other) = here.swap_remove(place);
                self.siblings.push(Merge { waiting: sibling, rows: other.rows, parent: at.parent() });
                summary = if sibling < at { other + summary } else { summary + other };
            }
            at = at.parent();
        }

        let root = at == tree.root();
        if root {
            open.done += 1;
            if let Some(rooted) = open.roots.get_mut(chunk as usize) {
                *rooted = true;
            }
        } else {
            here.push((at, summary));
        }
        let mut node_done = false;
        if let Ok(place) = open.assigned.binary_search_by_key(&node, |(node, _)| *node)
            && let Some((_, arrived)) = open.assigned.get_mut(place)
        {
            *arrived += 1;
            node_done = *arrived == chunks;
        }

        let rooted =
            |rank: u32| chunks.checked_sub(rank + 1).and_then(|chunk| open.roots.get(chunk as usize));
        while rooted(open.front).copied().unwrap_or(false) {
            open.front += 1;
        }
        let limit = open.front.saturating_add(window).min(chunks);
        let granted = (limit > open.granted).then_some(limit);
        open.granted = limit.max(open.granted);
        Ok(Accepted { siblings: &self.siblings, at, summary, root, node_done, granted })
    }

    /// Whether every chunk has reached the root.
    pub fn complete(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.done == self.chunks)
    }

    /// Closes the step: it is committed or abandoned.
    pub fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.closed = Some(open);
        }
    }

    fn rank(&self, chunk: u32) -> u32 {
        self.chunks.saturating_sub(1).saturating_sub(chunk)
    }
}

/// Whether a shard below the node has rows.
fn is_present(tree: Tree, present: &[bool], node: Node) -> bool {
    tree.contains(node) && node.shards().any(|shard| present.get(shard as usize).copied().unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: Summary = Summary { loss: 1.0, weight: 2.0, rows: 2 };

    fn node(level: u8, position: u32) -> Node {
        Node { level, position }
    }

    fn ledger(shards: u32, chunks: u32, window: u32, present: &[bool], nodes: &[Node]) -> Ledger {
        let mut ledger = Ledger::new(Tree::new(shards), chunks, window);
        ledger.begin(7, present);
        ledger.assign(nodes);
        ledger
    }

    #[test]
    fn siblings_meet_and_the_root_is_applied() {
        let (left, right) = (node(1, 0), node(1, 1));
        let mut ledger = ledger(4, 1, 4, &[true; 4], &[left, right]);
        let first = ledger.accept(7, right, 0, SUMMARY).unwrap();
        assert_eq!((first.at, first.root, first.siblings.len()), (right, false, 0));
        assert_eq!(ledger.accept(7, right, 0, SUMMARY), Err(Refusal::NotWanted));
        let second = ledger.accept(7, left, 0, SUMMARY).unwrap();
        assert_eq!(second.siblings, [Merge { waiting: right, rows: 2, parent: node(2, 0) }]);
        assert_eq!(second.summary, SUMMARY + SUMMARY);
        assert!(second.root && second.node_done && ledger.complete());
    }

    #[test]
    fn absent_siblings_are_passed_through() {
        let mut ledger = ledger(6, 1, 4, &[true, false, false, false, true, true], &[node(0, 0), node(1, 2)]);
        assert_eq!(ledger.accept(7, node(0, 0), 0, SUMMARY).unwrap().at, node(2, 0));
        let last = ledger.accept(7, node(1, 2), 0, SUMMARY).unwrap();
        assert_eq!(last.siblings, [Merge { waiting: node(2, 0), rows: 2, parent: node(3, 0) }]);
        assert!(last.root);
    }

    #[test]
    fn refusals_change_nothing() {
        let (left, right) = (node(0, 0), node(0, 1));
        let mut ledger = ledger(2, 3, 1, &[true; 2], &[left]);
        let before = format!("{ledger:?}");
        for (step, who, chunk, why) in [
            (6, left, 2, Refusal::OtherStep),
            (8, left, 2, Refusal::OtherStep),
            (7, left, 3, Refusal::NoSuchChunk),
            (7, left, u32::MAX, Refusal::NoSuchChunk),
            (7, right, 2, Refusal::NotAssigned),
            (7, node(20, 5), 2, Refusal::NotAssigned),
            (7, left, 1, Refusal::NotGranted),
        ] {
            assert_eq!(ledger.accept(step, who, chunk, SUMMARY), Err(why));
        }
        assert_eq!(format!("{ledger:?}"), before);
    }

    #[test]
    fn grants_follow_the_root_in_upload_order() {
        let nodes = [node(0, 0), node(0, 1)];
        let mut ledger = ledger(2, 4, 2, &[true; 2], &nodes);
        let grants: Vec<_> = [(0, 3), (0, 2), (1, 2), (1, 3), (0, 1), (1, 1), (1, 0), (0, 0)]
            .map(|(who, chunk)| ledger.accept(7, nodes[who], chunk, SUMMARY).unwrap().granted)
            .into();
        assert_eq!(grants, [None, None, None, Some(4), None, None, None, None]);
        assert!(ledger.complete() && ledger.waiting() == 0);
    }
}
