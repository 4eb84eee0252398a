//! What a dataset is, whatever its format and wherever it lies.

use std::path::Path;

use lockstep_core::run::spec::Source;

use crate::csv::Csv;
use crate::idx::Idx;
use crate::{DataError, Place, Wrong, file};

/// Rows with named columns, in blocks that can be read one by one.
pub trait Dataset {
    /// The file, as errors name it.
    fn file(&self) -> &str;
    /// The columns, in the file's order; names are distinct.
    fn columns(&self) -> &[Column];
    /// Runs of rows that together are all rows, in order. None is empty.
    fn blocks(&self) -> &[Block];
    /// The values of some columns (numbers into [`Dataset::columns`]) in one block, a `Values` each.
    ///
    /// # Errors
    /// The file cannot be read or is not what its header promised.
    fn read(&self, block: Block, columns: &[usize]) -> Result<Vec<Values>, DataError>;
    /// Where a row stands in the file, for errors; it may be slow.
    fn place(&self, row: u64) -> Place;

    /// Rows of all blocks.
    fn rows(&self) -> u64 {
        self.blocks().last().map_or(0, |block| block.first + block.rows)
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

/// What the values of a column are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, which may spell numbers.
    Text,
    /// Unsigned bytes of this shape in each row; empty for a single one.
    Bytes(Vec<usize>),
}

/// A run of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its first row, from 0.
    pub first: u64,
    /// How many rows.
    pub rows: u64,
}

/// A column's values in one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// A text a row.
    Text(Text),
    /// Row after row.
    Bytes(Vec<u8>),
}

/// Texts end to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    joined: String,
    ends: Vec<usize>,
}

impl Text {
    /// Adds one at the end.
    pub fn push(&mut self, text: &str) {
        self.joined.push_str(text);
        self.ends.push(self.joined.len());
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.joined.get(start..*end).unwrap_or_default())
    }
}

/// Opens a dataset; relative paths start at `base`. A single file is CSV by its extension, or an IDX
/// file by its first bytes (inputs alone, in a column named `image`).
///
/// # Errors
/// A file is missing, of unknown format, empty, or breaks its format.
pub fn open(source: &Source, base: &Path) -> Result<Box<dyn Dataset>, DataError> {
    match source {
        Source::Idx { images, labels } => {
            Ok(Box::new(Idx::open(&base.join(images), Some(&base.join(labels)))?))
        }
        Source::File(path) => {
            let path = base.join(path);
            let name = path.to_string_lossy().to_lowercase();
            if name.ends_with(".csv") || name.ends_with(".csv.gz") {
                Ok(Box::new(Csv::open(&path)?))
            } else if file::open(&path)?.read(2)? == [0, 0] {
                Ok(Box::new(Idx::open(&path, None)?))
            } else {
                Err(DataError::whole(path.display().to_string(), Wrong::UnknownFormat))
            }
        }
    }
}

/// Cuts rows into blocks of [`BLOCK_ROWS`].
pub(crate) fn blocks_of(rows: u64) -> Vec<Block> {
    (0..rows.div_ceil(BLOCK_ROWS))
        .map(|i| Block { first: i * BLOCK_ROWS, rows: BLOCK_ROWS.min(rows - i * BLOCK_ROWS) })
        .collect()
}

/// Rows in a block of a file that has no blocks of its own.
pub(crate) const BLOCK_ROWS: u64 = 4096;
