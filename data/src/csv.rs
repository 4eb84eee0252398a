//! CSV with a header, plain or gzipped: comma-separated, quoted as RFC 4180, UTF-8. Space around a
//! field does not count, and neither do blank lines.

use std::collections::BTreeSet;
use std::path::Path;

use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};

use crate::dataset::{BLOCK_ROWS, blocks_of};
use crate::{Block, Column, DataError, Dataset, Kind, Place, Text, Values, Wrong, file};

/// A CSV file, inflated, with the places where its blocks start.
#[derive(Debug)]
pub(crate) struct Csv {
    file: String,
    bytes: Vec<u8>,
    columns: Vec<Column>,
    blocks: Vec<Block>,
    /// Where each block starts in `bytes`.
    starts: Vec<usize>,
}

impl Csv {
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let mut opened = file::open(path)?;
        let bytes = opened.read(u64::MAX)?;
        let mut csv =
            Self { file: opened.name, bytes, columns: Vec::new(), blocks: Vec::new(), starts: Vec::new() };
        let mut reader = reader(&csv.bytes);
        let mut header = StringRecord::new();
        if !reader.read_record(&mut header).map_err(|error| csv.error(&error, 0))? {
            return Err(DataError::whole(&csv.file, Wrong::Empty));
        }
        let columns = csv.header(&header)?;
        let (mut rows, mut starts) = (0, Vec::new());
        let mut record = csv::ByteRecord::new();
        loop {
            let start = offset(reader.position());
            if !reader.read_byte_record(&mut record).map_err(|error| csv.error(&error, 0))? {
                break;
            }
            if rows % BLOCK_ROWS == 0 {
                starts.push(start);
            }
            rows += 1;
        }
        drop(reader);
        if rows == 0 {
            return Err(DataError::whole(csv.file, Wrong::NoRows));
        }
        (csv.columns, csv.blocks, csv.starts) = (columns, blocks_of(rows), starts);
        Ok(csv)
    }

    fn header(&self, header: &StringRecord) -> Result<Vec<Column>, DataError> {
        let mut seen = BTreeSet::new();
        let mut columns = Vec::new();
        for (i, name) in header.iter().map(str::trim).enumerate() {
            if name.is_empty() {
                return Err(DataError::whole(&self.file, Wrong::Unnamed(i + 1)));
            }
            if !seen.insert(name) {
                return Err(DataError::column(&self.file, name, Wrong::Duplicate));
            }
            columns.push(Column { name: name.into(), kind: Kind::Text });
        }
        Ok(columns)
    }

    /// The bytes from a block's start on, and where they start.
    fn block(&self, block: Block) -> (&[u8], usize) {
        let index = usize::try_from(block.first / BLOCK_ROWS).unwrap_or(usize::MAX);
        let start = self.starts.get(index).copied().unwrap_or(self.bytes.len());
        (self.bytes.get(start..).unwrap_or_default(), start)
    }

    /// `start`: where the failed reader's bytes start.
    fn error(&self, error: &csv::Error, start: usize) -> DataError {
        let place = error
            .position()
            .map_or(Place::Whole, |position| Place::Line(self.line(start + offset(position))));
        let what = match error.kind() {
            ErrorKind::UnequalLengths { expected_len, len, .. } => {
                Wrong::Ragged { found: *len, expected: *expected_len }
            }
            ErrorKind::Utf8 { .. } => Wrong::NotUtf8,
            _ => Wrong::Csv(error.to_string()),
        };
        DataError { file: self.file.clone(), place, column: None, what }
    }

    /// The line of the record that starts there; a record's position may be that of blank lines before.
    fn line(&self, at: usize) -> u64 {
        let blank = self.bytes.iter().skip(at).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let before = self.bytes.iter().take(at + blank).filter(|byte| **byte == b'\n').count();
        1 + before as u64
    }
}

impl Dataset for Csv {
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
        let (bytes, start) = self.block(block);
        let mut reader = reader(bytes);
        let mut record = StringRecord::new();
        let mut texts = vec![Text::default(); columns.len()];
        for _ in 0..block.rows {
            reader.read_record(&mut record).map_err(|error| self.error(&error, start))?;
            for (text, column) in texts.iter_mut().zip(columns) {
                text.push(record.get(*column).unwrap_or_default().trim());
            }
        }
        Ok(texts.into_iter().map(Values::Text).collect())
    }

    fn place(&self, row: u64) -> Place {
        let block = Block { first: row - row % BLOCK_ROWS, rows: BLOCK_ROWS };
        let (bytes, start) = self.block(block);
        let mut reader = reader(bytes);
        let mut record = csv::ByteRecord::new();
        for _ in block.first..row {
            if !matches!(reader.read_byte_record(&mut record), Ok(true)) {
                break;
            }
        }
        Place::Line(self.line(start + offset(reader.position())))
    }
}

fn reader(bytes: &[u8]) -> Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).from_reader(bytes)
}

fn offset(position: &csv::Position) -> usize {
    usize::try_from(position.byte()).unwrap_or(usize::MAX)
}
