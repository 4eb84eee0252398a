//! The reduction tree: the fixed binary tree in which shard gradients are summed.
//!
//! ```text
//! level 3                0-7                      the root: the step's gradient
//! level 2        0-3             4-7              a node is (level, position)
//! level 1    0-1     2-3     4-5     (6)          6 shards: 6-7 has no shards below it,
//! level 0   0   1   2   3   4   5                 so it is absent and 4-5 passes through
//! ```
//!
//! Leaves are shard numbers padded to a power of two. Whoever computes a node, and in which order,
//! its sum is the same: left child + right child, all the way down.

use std::fmt;
use std::ops::Range;

/// A node of the tree: what is assigned, sent, duplicated and recomputed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// 0 for a single shard; each level up doubles the width.
    pub level: u8,
    /// Counted from the left within the level.
    pub position: u32,
}

impl Node {
    /// The leaf of a shard.
    pub const fn leaf(shard: u32) -> Self {
        Self { level: 0, position: shard }
    }

    /// The shard numbers below the node, also those past the last shard.
    pub fn shards(self) -> Range<u32> {
        self.position << self.level..(self.position + 1) << self.level
    }

    /// The node one level up.
    pub const fn parent(self) -> Self {
        Self { level: self.level + 1, position: self.position / 2 }
    }

    /// The other child of the parent.
    pub const fn sibling(self) -> Self {
        Self { level: self.level, position: self.position ^ 1 }
    }

    /// Left and right child; none for a leaf.
    pub fn children(self) -> Option<(Self, Self)> {
        let level = self.level.checked_sub(1)?;
        let left = self.position * 2;
        Some((Self { level, position: left }, Self { level, position: left + 1 }))
    }

    /// Whether one of the two lies below the other, or they are the same.
    pub fn overlaps(self, other: Self) -> bool {
        let (low, high) = if self.level <= other.level { (self, other) } else { (other, self) };
        low.position >> (high.level - low.level) == high.position
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As users see it: `5` or `4-7`.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shards = self.shards();
        match self.level {
            0 => write!(f, "{}", shards.start),
            _ => write!(f, "{}-{}", shards.start, shards.end - 1),
        }
    }
}

/// The most shards that a run may have.
pub const MOST_SHARDS: u32 = 1 << 12;

/// The tree over a number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    shards: u32,
}

impl Tree {
    /// `shards` is clamped to 1..=[`MOST_SHARDS`].
    pub fn new(shards: u32) -> Self {
        Self { shards: shards.clamp(1, MOST_SHARDS) }
    }

    /// How many shards the tree is over.
    pub const fn shards(self) -> u32 {
        self.shards
    }

    /// The node over all shards.
    pub const fn root(self) -> Node {
        Node { level: self.shards.next_power_of_two().trailing_zeros() as u8, position: 0 }
    }

    /// Whether the node is one of the tree's and has a shard below it.
    pub fn contains(self, node: Node) -> bool {
        node.level <= self.root().level && u64::from(node.position) << node.level < u64::from(self.shards)
    }

    /// The fewest nodes that cover exactly the given shards, from left to right.
    pub fn cover(self, shards: Range<u32>) -> Vec<Node> {
        let end = shards.end.min(self.shards);
        // Shards past the last are absent, so a node may reach over them.
        let padded = if end == self.shards { self.shards.next_power_of_two() } else { end };
        let mut nodes = Vec::new();
        let mut start = shards.start;
        while start < end {
            let mut level = if start == 0 { self.root().level } else { start.trailing_zeros() as u8 };
            while start + (1 << level) > padded {
                level -= 1;
            }
            nodes.push(Node { level, position: start >> level });
            start += 1 << level;
        }
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cover_is_the_fewest_nodes() {
        let names = |shards: u32, range| {
            Tree::new(shards).cover(range).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(8, 0..8), "0-7");
        assert_eq!(names(8, 4..8), "4-7");
        assert_eq!(names(8, 1..7), "1 2-3 4-5 6");
        assert_eq!(names(6, 0..6), "0-7");
        assert_eq!(names(6, 4..6), "4-7");
        assert_eq!(names(6, 3..6), "3 4-7");
        assert_eq!(names(1, 0..1), "0");
        assert_eq!(names(5, 4..5), "4-7");
        assert_eq!(names(8, 3..3), "");
    }

    proptest! {
        #[test]
        fn a_cover_holds_each_shard_once(shards in 1u32..70, a in 0u32..70, b in 0u32..70) {
            let tree = Tree::new(shards);
            let range = a.min(b).min(shards)..a.max(b).min(shards);
            let nodes = tree.cover(range.clone());
            let covered: Vec<u32> =
                nodes.iter().flat_map(|n| n.shards()).filter(|s| *s < shards).collect();
            prop_assert_eq!(covered, range.collect::<Vec<_>>());
            for (i, x) in nodes.iter().enumerate() {
                prop_assert!(tree.contains(*x));
                prop_assert!(nodes[i + 1..].iter().all(|y| !x.overlaps(*y)));
            }
        }

        #[test]
        fn family(level in 0u8..10, position in 0u32..1000) {
            let node = Node { level, position };
            let (left, right) = node.parent().children().unwrap();
            prop_assert!(node == left || node == right);
            prop_assert_eq!(node.sibling().sibling(), node);
            prop_assert!(!node.overlaps(node.sibling()) && node.overlaps(node.parent()));
        }
    }
}
