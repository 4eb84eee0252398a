//! Nodes that are computed twice: a chunk of such a node is here only when two copies of it agree.
//!
//! ```text
//! first copy ─▶ kept ─┬─ the second is the same ──▶ here, and what was kept is let go of
//!                     └─ the second differs ──────▶ both kept; the third says whose is wrong
//! ```
//!
//! Nothing of a kept copy was added to anything, so nothing has to be taken back. Copies are kept within
//! the grants, in the place of the sum that they will be in: one of each chunk, as long as all agree. A
//! copy counts while its session lives.

use std::collections::BTreeMap;

use lockstep_core::gradient::Summary;
use lockstep_core::tree::Node;
use lockstep_proto::Session;
use lockstep_proto::message::Gradient;

/// Copies of one chunk, no two the same.
type Copies = Vec<(Session, Gradient)>;

/// Of the open step.
#[derive(Clone, Debug, Default)]
pub(super) struct Audits {
    nodes: BTreeMap<Node, BTreeMap<u32, Copies>>,
}

/// What a copy means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It may be taken as here; what these sessions sent is wrong.
    Right(Vec<Session>),
    /// It is the first.
    Kept,
    /// All copies, of these sessions, differ.
    Differs(Vec<Session>),
    /// The session's copy is here already.
    Again,
}

impl Audits {
    pub(super) fn add(&mut self, nodes: &[Node]) {
        self.nodes.extend(nodes.iter().map(|node| (*node, BTreeMap::new())));
    }

    pub(super) fn clear(&mut self) {
        self.nodes.clear();
    }

    pub(super) fn contains(&self, node: Node) -> bool {
        self.nodes.contains_key(&node)
    }

    /// How many copies are kept.
    pub(super) fn kept(&self) -> usize {
        self.nodes.values().flat_map(BTreeMap::values).map(Vec::len).sum()
    }

    /// A copy that could be taken.
    pub(super) fn compare(&mut self, session: Session, gradient: &Gradient) -> Verdict {
        let Some(chunks) = self.nodes.get_mut(&gradient.node) else { return Verdict::Right(Vec::new()) };
        let copies = chunks.entry(gradient.chunk).or_default();
        if copies.iter().any(|(other, _)| *other == session) {
            return Verdict::Again;
        }
        if copies.iter().any(|(_, copy)| same(copy, gradient)) {
            let wrong = copies.iter().filter(|(_, copy)| !same(copy, gradient));
            let wrong = wrong.map(|(session, _)| *session).collect();
            chunks.remove(&gradient.chunk);
            return Verdict::Right(wrong);
        }
        copies.push((session, gradient.clone()));
        match copies.len() {
            1 => Verdict::Kept,
            _ => Verdict::Differs(copies.iter().map(|(session, _)| *session).collect()),
        }
    }

    /// The session has ended.
    pub(super) fn lose(&mut self, session: Session) {
        for chunks in self.nodes.values_mut() {
            for copies in chunks.values_mut() {
                copies.retain(|(other, _)| *other != session);
            }
        }
    }

    /// The node is believed after one copy. Returns what was kept of it.
    pub(super) fn give_up(&mut self, node: Node) -> Vec<(Session, Gradient)> {
        let chunks = self.nodes.remove(&node).unwrap_or_default();
        chunks.into_values().filter_map(|copies| copies.into_iter().next()).collect()
    }
}

fn same(one: &Gradient, other: &Gradient) -> bool {
    let bits = |Summary { loss, weight, rows }: Summary| (loss.to_bits(), weight.to_bits(), rows);
    one.payload == other.payload && bits(one.summary) == bits(other.summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use lockstep_proto::Generation;

    const A: Session = Session::new(1, 1);
    const B: Session = Session::new(1, 2);
    const C: Session = Session::new(1, 3);
    const NODE: Node = Node::leaf(3);

    fn copy(payload: &'static [u8]) -> Gradient {
        let (generation, summary) = (Generation::new(1, 1), Summary::default());
        Gradient { generation, step: 7, node: NODE, chunk: 2, summary, payload: Bytes::from_static(payload) }
    }

    fn audits() -> Audits {
        let mut audits = Audits::default();
        audits.add(&[NODE]);
        audits
    }

    #[test]
    fn two_copies_that_agree_are_one_chunk() {
        let mut audits = audits();
        assert_eq!(audits.compare(A, &copy(b"1")), Verdict::Kept);
        assert_eq!((audits.compare(A, &copy(b"1")), audits.kept()), (Verdict::Again, 1));
        assert_eq!((audits.compare(B, &copy(b"1")), audits.kept()), (Verdict::Right(vec![]), 0));
        let other = Gradient { node: Node::leaf(1), ..copy(b"1") };
        assert_eq!((audits.compare(A, &other), audits.kept()), (Verdict::Right(vec![]), 0));
    }

    #[test]
    fn a_third_says_who_is_wrong() {
        for (third, wrong) in [(b"1", B), (b"2", A)] {
            let mut audits = audits();
            audits.compare(A, &copy(b"1"));
            assert_eq!(audits.compare(B, &copy(b"2")), Verdict::Differs(vec![A, B]));
            assert_eq!((audits.compare(C, &copy(third)), audits.kept()), (Verdict::Right(vec![wrong]), 0));
        }
        let mut audits = audits();
        audits.compare(A, &copy(b"1"));
        audits.compare(B, &copy(b"2"));
        assert_eq!(audits.compare(C, &copy(b"3")), Verdict::Differs(vec![A, B, C]));
    }

    #[test]
    fn a_loss_that_differs_is_a_difference() {
        let mut audits = audits();
        audits.compare(A, &copy(b"1"));
        let summary = Summary { loss: -0.0, ..Summary::default() };
        assert_eq!(audits.compare(B, &Gradient { summary, ..copy(b"1") }), Verdict::Differs(vec![A, B]));
    }

    #[test]
    fn a_session_that_ends_takes_its_copies_along() {
        let mut audits = audits();
        audits.compare(A, &copy(b"1"));
        audits.compare(B, &copy(b"2"));
        audits.lose(A);
        assert_eq!(audits.give_up(NODE), [(B, copy(b"2"))]);
        assert_eq!((audits.kept(), audits.contains(NODE)), (0, false));
    }
}
