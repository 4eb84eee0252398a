//! What a dataset is, whatever its format and wherever it lies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{DataError, Kind, Place, Values, Wrong};

/// Rows with named columns, in blocks that can be read one by one.
pub trait Dataset: Send + Sync {
    /// The file or files, as errors name them.
    fn file(&self) -> &str;
    /// The columns, in the file's order; names are distinct.
    fn columns(&self) -> &[Column];
    /// Runs of rows that together are all rows, in order. None is empty.
    fn blocks(&self) -> &[Block];
    /// The values of some columns (numbers into [`Dataset::columns`]) in one block, a `Values` each, with
    /// as many values as the block has rows. Those of a torn row are missing.
    ///
    /// # Errors
    /// The file cannot be read or is not what its header promised, or holds no values that a model takes.
    fn read(&self, block: Block, columns: &[usize]) -> Result<Vec<Values>, DataError>;
    /// The file of a row and where it stands in it, for errors; it may be slow.
    fn locate(&self, row: u64) -> (String, Place);
    /// Rows that are no rows, and why: such as a line with fields too many.
    fn torn(&self) -> &BTreeMap<u64, Wrong>;

    /// Rows of all blocks.
    fn rows(&self) -> u64 {
        self.blocks().last().map_or(0, |block| block.first + block.rows)
    }

    /// An error about a row, and perhaps one column of it.
    fn wrong(&self, row: u64, column: Option<usize>, what: Wrong) -> DataError {
        let (file, place) = self.locate(row);
        let name = column.and_then(|column| self.columns().get(column));
        DataError { file, place, column: name.map(|column| column.name.clone()), what }
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
}

/// A run of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Its first row, from 0.
    pub first: u64,
    /// How many rows.
    pub rows: u64,
}

/// Cuts rows into blocks of [`BLOCK_ROWS`].
pub(crate) fn blocks_of(rows: u64) -> Vec<Block> {
    (0..rows.div_ceil(BLOCK_ROWS))
        .map(|i| Block { first: i * BLOCK_ROWS, rows: BLOCK_ROWS.min(rows - i * BLOCK_ROWS) })
        .collect()
}

/// Blocks of so many rows each, end to end; empty ones are left out.
pub(crate) fn blocks_from(rows: impl IntoIterator<Item = u64>) -> Vec<Block> {
    let mut first = 0;
    let mut blocks = Vec::new();
    for rows in rows.into_iter().filter(|rows| *rows > 0) {
        blocks.push(Block { first, rows });
        first += rows;
    }
    blocks
}

/// Rows in a block of a file that has no blocks of its own.
pub(crate) const BLOCK_ROWS: u64 = 4096;

/// The name of column i, from 0, of a file that names none.
pub(crate) fn unnamed(i: usize) -> String {
    format!("column_{}", i + 1)
}

/// Names must be there and differ.
pub(crate) fn check_names(file: &str, columns: &[Column]) -> Result<(), DataError> {
    let mut seen = std::collections::BTreeSet::new();
    for (i, Column { name, .. }) in columns.iter().enumerate() {
        if name.is_empty() {
            return Err(DataError::whole(file, Wrong::Unnamed(i + 1)));
        }
        if !seen.insert(name) {
            return Err(DataError::column(file, name, Wrong::Duplicate));
        }
    }
    Ok(())
}
