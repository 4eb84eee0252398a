//! Several files as one dataset, end to end. The first file's columns count: the others must have them,
//! in any order, and what they have beyond is not looked at.

use std::collections::BTreeMap;

use crate::dataset::blocks_from;
use crate::{Block, Column, DataError, Dataset, Place, Values, Wrong};

/// Files end to end.
pub(super) struct Many {
    name: String,
    files: Vec<Part>,
    blocks: Vec<Block>,
    torn: BTreeMap<u64, Wrong>,
}

struct Part {
    data: Box<dyn Dataset>,
    /// The row at which it starts.
    first: u64,
    /// For each column of the first file, which column of this one.
    columns: Vec<usize>,
}

impl Many {
    /// Of at least one file.
    pub(super) fn new(name: String, files: Vec<Box<dyn Dataset>>) -> Result<Self, DataError> {
        let expected = files.first().map(|data| (data.file().to_owned(), data.columns().to_vec()));
        let (first_file, expected) = expected.unwrap_or_default();
        let (mut parts, mut first, mut torn) = (Vec::new(), 0, BTreeMap::new());
        for data in files {
            let find = |column: &Column| {
                data.columns().iter().position(|there| there.name == column.name).ok_or_else(|| {
                    DataError::column(data.file(), &column.name, Wrong::Unequal { first: first_file.clone() })
                })
            };
            let columns = expected.iter().map(find).collect::<Result<_, _>>()?;
            torn.extend(data.torn().iter().map(|(row, why)| (first + row, why.clone())));
            let rows = data.rows();
            parts.push(Part { data, first, columns });
            first += rows;
        }
        let blocks = blocks_from(parts.iter().flat_map(|part| part.data.blocks()).map(|block| block.rows));
        Ok(Self { name, files: parts, blocks, torn })
    }

    fn part(&self, row: u64) -> Option<&Part> {
        let after = self.files.partition_point(|part| part.first <= row);
        self.files.get(after.checked_sub(1)?)
    }
}

impl Dataset for Many {
    fn file(&self) -> &str {
        &self.name
    }

    fn columns(&self) -> &[Column] {
        self.files.first().map_or(&[], |part| part.data.columns())
    }

    fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    fn read(&self, block: Block, columns: &[usize]) -> Result<Vec<Values>, DataError> {
        let Some(part) = self.part(block.first) else { return Ok(Vec::new()) };
        let there = |column: &usize| part.columns.get(*column).copied().unwrap_or(usize::MAX);
        let columns: Vec<usize> = columns.iter().map(there).collect();
        part.data.read(Block { first: block.first - part.first, rows: block.rows }, &columns)
    }

    fn locate(&self, row: u64) -> (String, Place) {
        match self.part(row) {
            Some(part) => part.data.locate(row - part.first),
            None => (self.name.clone(), Place::Row(row)),
        }
    }

    fn torn(&self) -> &BTreeMap<u64, Wrong> {
        &self.torn
    }
}
