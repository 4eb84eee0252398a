//! Text with a record a row: CSV and JSON lines, inflated, with the places where their blocks start.

use std::collections::BTreeMap;

use arrow_array::builder::LargeStringBuilder;

use crate::dataset::{BLOCK_ROWS, blocks_of, check_names};
use crate::{Block, Column, DataError, Dataset, Kind, Place, Values, Wrong};

/// Takes a record: where it starts, and its fields or what is wrong with it. Says whether to go on.
pub(super) type Take<'a> = dyn FnMut(usize, Result<&dyn Fields, Wrong>) -> bool + 'a;

/// Finds the records of a text and takes them apart.
pub(super) trait Records: Send + Sync {
    /// Calls `take` for each record from byte `start` on, until it says no.
    ///
    /// # Errors
    /// The text cannot be read on from the byte given: nothing after it is known.
    fn each(&self, text: &[u8], start: usize, take: &mut Take<'_>) -> Result<(), (usize, Wrong)>;
}

/// The fields of one record.
pub(super) trait Fields {
    /// Its value in column i; `None` if there is none.
    fn field(&self, i: usize) -> Option<&str>;
}

/// A text file.
pub(super) struct Lines<R> {
    file: String,
    text: Vec<u8>,
    records: R,
    columns: Vec<Column>,
    blocks: Vec<Block>,
    /// Where each block starts in `text`.
    starts: Vec<usize>,
    torn: BTreeMap<u64, Wrong>,
}

impl<R: Records> Lines<R> {
    /// Of the records from byte `start` on.
    pub(super) fn new(
        file: String,
        text: Vec<u8>,
        start: usize,
        names: Vec<String>,
        records: R,
    ) -> Result<Self, DataError> {
        let columns = names.into_iter().map(|name| Column { name, kind: Kind::Text }).collect::<Vec<_>>();
        check_names(&file, &columns)?;
        let (mut rows, mut starts, mut torn) = (0, Vec::new(), BTreeMap::new());
        let read = records.each(&text, start, &mut |at, record| {
            if rows % BLOCK_ROWS == 0 {
                starts.push(at);
            }
            if let Err(why) = record {
                torn.insert(rows, why);
            }
            rows += 1;
            true
        });
        if let Err((at, what)) = read {
            return Err(DataError { file, place: Place::Line(line(&text, at)), column: None, what });
        }
        if rows == 0 {
            return Err(DataError::whole(file, Wrong::NoRows));
        }
        Ok(Self { file, text, records, columns, blocks: blocks_of(rows), starts, torn })
    }

    fn start(&self, row: u64) -> usize {
        let index = usize::try_from(row / BLOCK_ROWS).unwrap_or(usize::MAX);
        self.starts.get(index).copied().unwrap_or(self.text.len())
    }
}

impl<R: Records> Dataset for Lines<R> {
    fn file(&self) -> &str {
        &self.file
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    fn read(&self, block: Block, columns: &[usize]) -> Result<Vec<Values>, DataError> {
        let mut texts: Vec<LargeStringBuilder> = columns.iter().map(|_| LargeStringBuilder::new()).collect();
        let mut row = 0;
        let read = self.records.each(&self.text, self.start(block.first), &mut |_, record| {
            if row == block.rows {
                return false;
            }
            for (text, column) in texts.iter_mut().zip(columns) {
                text.append_option(record.as_ref().ok().and_then(|record| record.field(*column)));
            }
            row += 1;
            true
        });
        read.map_err(|(at, what)| {
            let place = Place::Line(line(&self.text, at));
            DataError { file: self.file.clone(), place, column: None, what }
        })?;
        Ok(texts.into_iter().map(|mut text| Values::Text(text.finish())).collect())
    }

    fn locate(&self, row: u64) -> (String, Place) {
        let (mut left, mut found) = (row % BLOCK_ROWS, self.text.len());
        let _ = self.records.each(&self.text, self.start(row), &mut |at, _| {
            found = at;
            left = left.wrapping_sub(1);
            left != u64::MAX
        });
        (self.file.clone(), Place::Line(line(&self.text, found)))
    }

    fn torn(&self) -> &BTreeMap<u64, Wrong> {
        &self.torn
    }
}

/// The line of the record that starts there; a record's position may be that of blank lines before.
fn line(text: &[u8], at: usize) -> u64 {
    let blank = text.iter().skip(at).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let before = text.iter().take(at + blank).filter(|byte| **byte == b'\n').count();
    1 + before as u64
}
