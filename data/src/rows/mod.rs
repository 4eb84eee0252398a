//! Rows as a model sees them, by number: whole in memory, or block by block.
//!
//! ```text
//! gather(rows) ──▶ memory ──▶ the block cache on disk ──▶ sources: the files, or the coordinator
//! ```
//!
//! A [`Catalog`] lists what the blocks hold. Wherever a block comes from, its digest is compared before a
//! row of it is used, so that all places give the same rows.

mod blocks;
mod cache;
mod catalog;
mod digesting;
mod files;
mod list;
mod memory;
mod roots;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use lockstep_core::epoch::Arrangement;
use lockstep_core::run::spec::Data;

use crate::{GatherError, Shape, Table, TargetsMut};

pub use blocks::{Blocks, Source};
pub use cache::BlockCache;
pub use catalog::{BadCatalog, BlockDigest, Catalog, Changed, Entry, Listing};
pub(crate) use files::Files;
pub use files::Held;
pub(crate) use list::{list, whole};
pub use roots::Roots;

/// A dataset's rows.
#[derive(Clone, Debug)]
pub enum Rows {
    /// In memory.
    Whole(Arc<Table>),
    /// Read when they are needed.
    Blocks(Arc<Blocks>),
}

/// Bytes of memory for blocks of training and of validation rows: together about as many as the run holds of
/// smaller data whole, but what a step needs must be held in any case.
pub fn memory(data: &Data) -> [u64; 2] {
    const LEAST: u64 = 64 << 20;
    let quarter = data.in_memory.max(LEAST) / 4;
    [3 * quarter, quarter]
}

/// Rows that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// Wrong numbers or places.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// No source has the block as the run began with it.
    #[error("rows {first} to {last} (block {index}): {why}", last = first + rows.saturating_sub(1))]
    Block {
        /// The block's number.
        index: usize,
        /// Its first row, among the rows of its dataset.
        first: u64,
        /// How many rows it has.
        rows: u64,
        /// What the sources said.
        why: String,
    },
}

impl Rows {
    /// What they are, without their values.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Whole(table) => table.shape(),
            Self::Blocks(blocks) => blocks.listing().shape.clone(),
        }
    }

    /// How many.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Whole(table) => table.rows(),
            Self::Blocks(blocks) => blocks.listing().shape.rows,
        }
    }

    /// How they lie, which decides how an epoch is shuffled.
    pub fn arrangement(&self, data: &Data) -> Arrangement {
        match self {
            Self::Whole(table) => Arrangement::Rows(table.rows()),
            Self::Blocks(blocks) => {
                Arrangement::blocks(data, blocks.listing().blocks.iter().map(|entry| entry.rows).collect())
            }
        }
    }

    /// Copies rows, in the order given, as the model sees them: `x` is \[rows, width\], row-major.
    ///
    /// # Errors
    /// A row that is not there, a place of another size or kind, or a block that no source has. What was
    /// written is unspecified.
    pub fn gather(&self, rows: &[u64], x: &mut [f32], targets: TargetsMut<'_>) -> Result<(), RowsError> {
        match self {
            Self::Whole(table) => Ok(table.gather(rows, x, targets)?),
            Self::Blocks(blocks) => blocks.gather(rows, x, targets),
        }
    }

    /// As [`Table::gather_weights`].
    ///
    /// # Errors
    /// As [`Rows::gather`].
    pub fn gather_weights(&self, rows: &[u64], to: &mut Vec<f32>) -> Result<(), RowsError> {
        match self {
            Self::Whole(table) => Ok(table.gather_weights(rows, to)?),
            Self::Blocks(blocks) => blocks.gather_weights(rows, to),
        }
    }

    /// Blocks that are needed now and for some time: others make room first.
    pub fn keep(&self, blocks: impl IntoIterator<Item = u64>) {
        if let Self::Blocks(all) = self {
            all.keep(blocks.into_iter().filter_map(|block| usize::try_from(block).ok()));
        }
    }

    /// Asks for blocks that will be needed soon, as far as there is room for them.
    pub fn ahead(&self, blocks: impl IntoIterator<Item = u64>) {
        if let Self::Blocks(all) = self {
            blocks.into_iter().filter_map(|block| usize::try_from(block).ok()).for_each(|i| all.ahead(i));
        }
    }

    /// The bytes of some rows, which must lie in one block if there are blocks; they are numbered within it.
    ///
    /// # Errors
    /// As [`Rows::gather`].
    pub fn part(&self, rows: Range<u64>) -> Result<Vec<u8>, RowsError> {
        match self {
            Self::Whole(table) => Ok(table.part(rows)?),
            Self::Blocks(blocks) => blocks.part(rows),
        }
    }

    /// The range of a block's rows in which a row lies; all rows if they are whole.
    pub fn around(&self, row: u64) -> Range<u64> {
        match self {
            Self::Whole(table) => 0..table.rows(),
            Self::Blocks(blocks) => blocks.around(row),
        }
    }
}
