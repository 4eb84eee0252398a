//! The rows of a file for a model that is there already, block by block.

use std::path::Path;

use lockstep_core::run::spec::{OnBadRow, Reading, Source};

use crate::pass::Pass;
use crate::{DataError, Dataset, Encoder, Table, Wrong, open};

/// Whether rows must have their target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetUse {
    /// To train and to evaluate.
    Required,
    /// To predict: the column may be missing or hold anything.
    Ignored,
}

/// How rows are taken.
#[derive(Clone, Copy, Debug)]
pub struct Taking<'a> {
    /// How files are read.
    pub reading: &'a Reading,
    /// Whether they need their target.
    pub targets: TargetUse,
    /// What becomes of bad ones.
    pub on_bad_row: OnBadRow,
}

/// The good rows of a file in its order, a table a block. Blocks without good rows are passed over.
pub struct EncodedFile<'a> {
    encoder: &'a Encoder,
    taking: Taking<'a>,
    data: Box<dyn Dataset>,
    /// Blocks that have been read.
    read: usize,
    rows: u64,
    skipped: u64,
}

impl Encoder {
    /// Opens a file to encode its rows; relative paths start at `base`.
    ///
    /// # Errors
    /// As [`crate::open`].
    pub fn encode_file<'a>(
        &'a self,
        source: &Source,
        base: &Path,
        taking: Taking<'a>,
    ) -> Result<EncodedFile<'a>, DataError> {
        let data = open(source, taking.reading, base)?;
        Ok(EncodedFile { encoder: self, taking, data, read: 0, rows: 0, skipped: 0 })
    }
}

impl EncodedFile<'_> {
    /// Bad rows that were left out so far.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next table; `None` after the last one.
    ///
    /// # Errors
    /// The file cannot be read, a column that the model needs is missing or of another kind, a row is bad
    /// and not skipped (a cell is not what its column holds, or, unless ignored, a label is not one of the
    /// classes), or no row of the file is good.
    pub fn next_block(&mut self) -> Result<Option<Table>, DataError> {
        let Taking { reading, targets, on_bad_row } = self.taking;
        while let Some(block) = self.data.blocks().get(self.read) {
            let blocks = std::slice::from_ref(block);
            let pass =
                Pass { data: &*self.data, blocks, reading, on_bad_row, done: &|_| (), wanted: &|_| true };
            let (table, skipped) = self.encoder.encode(pass, targets)?;
            self.read += 1;
            self.rows += table.rows();
            self.skipped += skipped;
            if table.rows() > 0 {
                return Ok(Some(table));
            }
        }
        if self.rows == 0 {
            return Err(DataError::whole(self.data.file(), Wrong::NoGoodRows { skipped: self.skipped }));
        }
        Ok(None)
    }
}
