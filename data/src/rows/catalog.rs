//! What a run's data are: block by block, with a digest each.
//!
//! It is stored with the run, so that a resume can tell whether the data have changed and where, and is what
//! a worker needs to read blocks by itself.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Bad, Block, Encoder, FileEntry, Shape, Skipped, Table};

/// A run's data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// Fitted on the training rows.
    pub encoder: Encoder,
    /// The rows to train on.
    pub train: Listing,
    /// The rows to validate on.
    pub validation: Option<Listing>,
    /// The files of the rows to train on.
    pub train_files: Vec<FileEntry>,
    /// Those of the rows to validate on; none where these come out of the training files.
    pub validation_files: Vec<FileEntry>,
    /// Bad rows that were left out.
    pub skipped: Skipped,
}

/// The blocks of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// What its rows are.
    pub shape: Shape,
    /// Whether it is held whole; then its blocks only serve to compare it.
    pub whole: bool,
    /// Runs of rows that together are all rows, in order. Some may be empty.
    pub blocks: Vec<Entry>,
}

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The rows of the files that it was made of.
    pub of: Block,
    /// Good rows of them that belong to the dataset.
    pub rows: u64,
    /// Of these rows as the model sees them.
    pub digest: BlockDigest,
}

/// BLAKE3 of the bytes of a block's [`Table::part`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BlockDigest(blake3::Hash);

/// No catalog.
#[derive(Debug, thiserror::Error)]
pub enum BadCatalog {
    /// Not its JSON.
    #[error("this is not a catalog of data: {0}")]
    Json(#[from] serde_json::Error),
    /// Rows that do not add up.
    #[error("the catalog of data contradicts itself: its blocks do not have the rows that it counts")]
    Counts,
    /// An encoder that cannot be used.
    #[error(transparent)]
    Encoder(#[from] Bad),
}

/// Where two lists of blocks part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Changed {
    /// Other columns, classes or types.
    #[error("a row has the shape {found:?}, {stored:?} when the run began")]
    Shape {
        /// Then.
        stored: Vec<usize>,
        /// Now.
        found: Vec<usize>,
    },
    /// Rows of one block have other values.
    #[error("rows {first} to {last} of it differ", last = first + rows.saturating_sub(1))]
    Block {
        /// The first row of the files.
        first: u64,
        /// How many there are.
        rows: u64,
    },
    /// There are more or fewer of them.
    #[error("it has {found} rows, {stored} when the run began")]
    Rows {
        /// Then.
        stored: u64,
        /// Now.
        found: u64,
    },
}

impl Catalog {
    /// Whether training or validation rows come in blocks.
    pub fn in_blocks(&self) -> bool {
        [Some(&self.train), self.validation.as_ref()].into_iter().flatten().any(|listing| !listing.whole)
    }

    /// Reads its JSON, which may come from a file or a peer.
    ///
    /// # Errors
    /// It is none, its numbers do not agree with each other, or its encoder cannot be used.
    pub fn from_json(json: &[u8]) -> Result<Self, BadCatalog> {
        let catalog: Self = serde_json::from_slice(json)?;
        if ![Some(&catalog.train), catalog.validation.as_ref()].into_iter().flatten().all(Listing::is_sound) {
            return Err(BadCatalog::Counts);
        }
        catalog.encoder.check()?;
        Ok(catalog)
    }
}

impl Listing {
    /// A hash of all rows, their shape and how they are cut into blocks.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = blake3::Hasher::new();
        hash.update(&serde_json::to_vec(&self.shape).unwrap_or_default());
        for Entry { rows, digest, .. } in &self.blocks {
            hash.update(&rows.to_le_bytes());
            hash.update(digest.0.as_bytes());
        }
        hash.finalize().into()
    }

    /// The first difference between what a run began with and what is there now.
    pub fn changed(&self, now: &Self) -> Option<Changed> {
        let (stored, found) = (&self.shape, &now.shape);
        let kind = |shape: &Shape| (shape.features, shape.targets, shape.weights, shape.embeddings.clone());
        if stored.sample != found.sample || kind(stored) != kind(found) {
            return Some(Changed::Shape { stored: stored.sample.clone(), found: found.sample.clone() });
        }
        let differs = |(a, b): &(&Entry, &Entry)| (a.rows, a.digest) != (b.rows, b.digest);
        match self.blocks.iter().zip(&now.blocks).find(differs) {
            Some((Entry { of: Block { first, rows }, .. }, _)) => {
                Some(Changed::Block { first: *first, rows: *rows })
            }
            None if self.blocks.len() != now.blocks.len() || stored.rows != found.rows => {
                Some(Changed::Rows { stored: stored.rows, found: found.rows })
            }
            None => None,
        }
    }

    /// The first row of each block.
    pub fn starts(&self) -> Vec<u64> {
        let starts = self.blocks.iter().scan(0u64, |end, entry| {
            let start = *end;
            *end = end.saturating_add(entry.rows);
            Some(start)
        });
        starts.collect()
    }

    /// Whether its numbers agree with each other.
    pub(crate) fn is_sound(&self) -> bool {
        let rows = self.blocks.iter().try_fold(0u64, |sum, entry| sum.checked_add(entry.rows));
        let within = |entry: &Entry| entry.rows <= entry.of.rows;
        self.shape.width().is_some() && rows == Some(self.shape.rows) && self.blocks.iter().all(within)
    }
}

impl From<blake3::Hash> for BlockDigest {
    fn from(hash: blake3::Hash) -> Self {
        Self(hash)
    }
}

impl BlockDigest {
    /// Of a block's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes))
    }

    /// Of all rows of a table.
    pub fn of_table(table: &Table) -> Self {
        // All rows are there.
        Self::of(&table.part(0..table.rows()).unwrap_or_default())
    }
}

impl fmt::Display for BlockDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for BlockDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for BlockDigest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0.to_hex())
    }
}

impl<'de> Deserialize<'de> for BlockDigest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        blake3::Hash::from_hex(text).map(Self).map_err(de::Error::custom)
    }
}
