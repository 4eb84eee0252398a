//! Conversions between the plain messages and the wire: total in one direction, checked in the other.

mod control;
mod tensors;

use lockstep_core::tree::Node;

use crate::wire;

/// A message that makes no sense: which part, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);

impl From<Node> for wire::Node {
    fn from(node: Node) -> Self {
        Self { level: node.level.into(), position: node.position }
    }
}

impl TryFrom<wire::Node> for Node {
    type Error = Malformed;
    fn try_from(node: wire::Node) -> Result<Self, Malformed> {
        let level = u8::try_from(node.level).ok().filter(|level| *level < 32);
        let level = level.ok_or(Malformed("a node's level is past 31"))?;
        // The shards below a node must be numbers of 32 bits.
        let end = (u64::from(node.position) + 1) << level;
        if end > u64::from(u32::MAX) {
            return Err(Malformed("a node's position lies past every shard"));
        }
        Ok(Self { level, position: node.position })
    }
}
