//! The hash chain over a run's digests: no line of it can be changed, left out or put elsewhere without
//! breaking every line after it.
//!
//! ```text
//! link(0)   = SHA-256("lockstep chain 1" | run | train | 0, or 1 and validation)
//! link(k+1) = SHA-256(link(k) | step, u64 little-endian | digest)
//! ```
//!
//! `run` is the SHA-256 of [`meaning`], `train` and `validation` are those of the rows as decoded.
//! `tests/chain.py` computes it from a run directory.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::run::meaning;
use crate::run::spec::Run;

/// What a run's digests follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Of the run file's meaning: without paths, checkpoints and what only concerns the cluster.
    pub run: Digest,
    /// Of the training rows as decoded, with their columns and classes.
    pub train: Digest,
    /// Of the validation rows.
    pub validation: Option<Digest>,
}

impl Inputs {
    /// Of a run over rows with these digests.
    pub fn new(run: &Run, train: Digest, validation: Option<Digest>) -> Self {
        Self { run: Digest::of(meaning(run).as_bytes()), train, validation }
    }
}

/// A place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Link(Digest);

impl Link {
    /// Before the first digest.
    pub fn first(inputs: &Inputs) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"lockstep chain 1");
        hash.update(inputs.run.as_bytes());
        hash.update(inputs.train.as_bytes());
        match &inputs.validation {
            None => hash.update([0]),
            Some(digest) => {
                hash.update([1]);
                hash.update(digest.as_bytes());
            }
        }
        Self(Digest::from_bytes(hash.finalize().into()))
    }

    /// After one more digest.
    pub fn next(self, step: u64, digest: Digest) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0.as_bytes());
        hash.update(step.to_le_bytes());
        hash.update(digest.as_bytes());
        Self(Digest::from_bytes(hash.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> Inputs {
        let [run, train, validation] = [b"run", b"row", b"val"].map(|bytes| Digest::of(bytes));
        Inputs { run, train, validation: Some(validation) }
    }

    #[test]
    fn every_part_counts() {
        let first = Link::first(&inputs());
        let digest = Digest::of(b"W");
        let mut links = vec![
            first,
            Link::first(&Inputs { run: digest, ..inputs() }),
            Link::first(&Inputs { train: digest, ..inputs() }),
            Link::first(&Inputs { validation: Some(digest), ..inputs() }),
            Link::first(&Inputs { validation: None, ..inputs() }),
            first.next(1, digest),
            first.next(2, digest),
            first.next(1, Digest::of(b"V")),
            first.next(1, digest).next(2, digest),
        ];
        let count = links.len();
        links.sort_by_key(|link| link.0);
        links.dedup();
        assert_eq!(links.len(), count);
    }

    /// By Python's hashlib: sha256(sha256(b"lockstep chain 1" + run + train + b"\x01" + validation)
    /// .digest() + (7).to_bytes(8, "little") + sha256(b"W").digest()).
    #[test]
    fn links_by_another_hand() {
        let link = Link::first(&inputs()).next(7, Digest::of(b"W"));
        assert_eq!(
            link.0.to_string(),
            "sha256:87a9c2fcc070065f59d935318555a69d184e6b41830e52a119ceca69cd56b7c6"
        );
    }
}
