//! What a dataset is, whatever its format and wherever it lies.

use serde::{Deserialize, Serialize};

use crate::{DataError, FileEntry, Kind, Place, Values, Wrong};

/// Rows with named columns, in blocks that can be read one by one, from several threads at once.
pub trait Dataset: Send + Sync {
    /// What is known of it before a row is read.
    fn outline(&self) -> &Outline;
    /// The values of some columns (numbers into [`Dataset::columns`]) in one block.
    ///
    /// # Errors
    /// The file cannot be read, is not what its header promised or was changed since it was opened; or
    /// holds no values that a model takes.
    fn read(&self, block: Block, columns: &[usize]) -> Result<Chunk, DataError>;
    /// The file of a row and where it stands in it, for errors; it may be slow.
    fn locate(&self, row: u64) -> (String, Place);
    /// The opened files, in order: what [`crate::reopen`] needs to open them again without a scan.
    fn files(&self) -> Vec<FileEntry>;

    /// The file or files, as errors name them.
    fn file(&self) -> &str {
        &self.outline().name
    }

    /// The columns, in the file's order; names are distinct.
    fn columns(&self) -> &[Column] {
        &self.outline().columns
    }

    /// Runs of rows that together are all rows, in order. None is empty.
    fn blocks(&self) -> &[Block] {
        &self.outline().blocks
    }

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

/// What is known of a dataset before a row is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The file or files, as errors name them.
    pub name: String,
    /// The columns, in the file's order; names are distinct.
    pub columns: Vec<Column>,
    /// Runs of rows that together are all rows, in order. None is empty.
    pub blocks: Vec<Block>,
}

/// What a block holds.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// For each column that was asked for, as many values as the block has rows. Those of a torn row are
    /// missing.
    pub values: Vec<Values>,
    /// Rows that are no rows, and why: such as a line with fields too many. In order, numbered as
    /// [`Block::first`] is.
    pub torn: Vec<(u64, Wrong)>,
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

/// Rows in a block of a file that has no blocks of its own.
pub(crate) const BLOCK_ROWS: u64 = 4096;
/// More blocks are a lie of some header: a list of them takes memory.
const MOST_BLOCKS: u64 = 1 << 22;

/// Cuts a run of rows into parts of `step` rows, the last of which may be shorter.
pub(crate) fn cut(rows: u64, step: u64) -> impl Iterator<Item = u64> {
    (0..rows.div_ceil(step.max(1))).map(move |i| step.min(rows - i * step))
}

impl Outline {
    /// Of so many rows in each block, end to end; empty ones are left out.
    ///
    /// # Errors
    /// Names that are missing or alike, no rows, or more blocks than can be true.
    pub(crate) fn new(
        name: &str,
        columns: Vec<Column>,
        rows: impl IntoIterator<Item = u64>,
    ) -> Result<Self, DataError> {
        check_names(name, &columns)?;
        let (mut first, mut blocks) = (0u64, Vec::new());
        for rows in rows.into_iter().filter(|rows| *rows > 0) {
            blocks.push(Block { first, rows });
            let next = first.checked_add(rows).filter(|_| blocks.len() as u64 <= MOST_BLOCKS);
            first = next.ok_or_else(|| DataError::whole(name, Wrong::TooManyRows))?;
        }
        if blocks.is_empty() {
            return Err(DataError::whole(name, Wrong::NoRows));
        }
        Ok(Self { name: name.into(), columns, blocks })
    }

    /// Which block it is.
    pub(crate) fn index(&self, block: Block) -> Result<usize, DataError> {
        let index = self.blocks.binary_search_by_key(&block.first, |block| block.first).ok();
        index.filter(|index| self.blocks.get(*index) == Some(&block)).ok_or_else(|| {
            let Block { first, rows } = block;
            DataError::whole(&self.name, Wrong::NoBlock { first, rows })
        })
    }

    /// The block of a row.
    pub(crate) fn block_of(&self, row: u64) -> Option<usize> {
        self.blocks.partition_point(|block| block.first <= row).checked_sub(1)
    }

    /// The name of a column, for errors.
    pub(crate) fn column(&self, column: usize) -> &str {
        self.columns.get(column).map(|column| column.name.as_str()).unwrap_or_default()
    }

    /// Rows of each block.
    pub(crate) fn rows(&self) -> Vec<u64> {
        self.blocks.iter().map(|block| block.rows).collect()
    }
}

/// The name of column i, from 0, of a file that names none.
pub(crate) fn unnamed(i: usize) -> String {
    format!("column_{}", i + 1)
}

/// Names must be there and differ.
fn check_names(file: &str, columns: &[Column]) -> Result<(), DataError> {
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
