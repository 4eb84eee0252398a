//! Text with a record a row: CSV and JSON lines. Only the places where its blocks start are kept.

use arrow_array::builder::LargeStringBuilder;

use super::scan::{self, Blocks, Split};
use crate::dataset::Outline;
use crate::places::Opened;
use crate::{Block, Chunk, Column, DataError, Dataset, FileEntry, Kind, Place, TextEntry, Values, Wrong};

/// How the records of a text are told apart and taken apart.
pub(super) trait Text: Send + Sync {
    /// Takes records apart, one after the other, and keeps what it needs for that.
    type Records<'a>: Split + Record
    where
        Self: 'a;

    /// Of records of which these columns are wanted.
    fn records<'a>(&'a self, columns: &'a [usize]) -> Self::Records<'a>;
}

/// What a record holds.
pub(super) trait Record {
    /// Adds its value in each wanted column.
    ///
    /// # Errors
    /// It is no record, and nothing was added.
    fn add(&mut self, record: &[u8], values: &mut [LargeStringBuilder]) -> Result<(), Wrong>;
}

/// A text file.
pub(super) struct Lines<T> {
    outline: Outline,
    opened: Opened,
    text: T,
    /// Where each block starts.
    starts: Vec<u64>,
}

impl<T: Text> Lines<T> {
    pub(super) fn new(
        opened: Opened,
        names: Vec<String>,
        blocks: Blocks,
        text: T,
    ) -> Result<Self, DataError> {
        let columns = names.into_iter().map(|name| Column { name, kind: Kind::Text }).collect();
        let outline = Outline::new(opened.name(), columns, blocks.rows)?;
        Ok(Self { outline, opened, text, starts: blocks.starts })
    }

    /// As another has scanned it.
    pub(super) fn reopened(opened: Opened, entry: &FileEntry, text: T) -> Result<Self, DataError> {
        let wrong = |what| DataError::whole(opened.name(), what);
        let scanned = entry.text.as_ref().ok_or_else(|| wrong(Wrong::BadEntry("text without its blocks")))?;
        scan::check(scanned, &entry.rows, opened.blob.length()).map_err(wrong)?;
        let blocks = Blocks { starts: scanned.starts.clone(), rows: entry.rows.clone() };
        Self::new(opened, scanned.names.clone(), blocks, text)
    }

    fn start(&self, index: usize) -> u64 {
        self.starts.get(index).copied().unwrap_or_else(|| self.opened.blob.length())
    }

    /// The line of a row.
    fn line(&self, row: u64) -> Result<u64, DataError> {
        let blob = &*self.opened.blob;
        let index = self.outline.block_of(row).unwrap_or(usize::MAX);
        let first = self.outline.blocks.get(index).map_or(0, |block| block.first);
        let (mut left, mut found) = (row - first, self.start(index));
        scan::each(blob, found, &mut self.text.records(&[]), &mut |place, _| {
            found = place.start;
            left = left.wrapping_sub(1);
            left != u64::MAX
        })?;
        scan::line(blob, found)
    }
}

impl<T: Text> Dataset for Lines<T> {
    fn outline(&self) -> &Outline {
        &self.outline
    }

    fn read(&self, block: Block, columns: &[usize]) -> Result<Chunk, DataError> {
        let index = self.outline.index(block)?;
        let text = self.opened.blob.read(self.start(index)..self.start(index + 1))?;
        let mut records = self.text.records(columns);
        let mut values: Vec<LargeStringBuilder> = columns.iter().map(|_| LargeStringBuilder::new()).collect();
        let (mut row, mut at, mut torn) = (0, 0, Vec::new());
        while let Some(place) = records.next(&text, at, true) {
            at = place.end;
            if let Err(why) = records.add(text.get(place).unwrap_or_default(), &mut values) {
                torn.push((block.first + row, why));
                values.iter_mut().for_each(|values| values.append_null());
            }
            row += 1;
        }
        if row != block.rows {
            let what = Wrong::Changed { what: "the number of rows in a block", before: block.rows, now: row };
            return Err(DataError::whole(self.file(), what));
        }
        Ok(Chunk { values: values.into_iter().map(|mut text| Values::Text(text.finish())).collect(), torn })
    }

    fn locate(&self, row: u64) -> (String, Place) {
        (self.file().into(), self.line(row).map_or(Place::Row(row), Place::Line))
    }

    fn files(&self) -> Vec<FileEntry> {
        let names = self.columns().iter().map(|column| column.name.clone()).collect();
        let text = TextEntry { names, starts: self.starts.clone() };
        vec![self.opened.entry(self.outline.rows(), Some(text))]
    }
}
