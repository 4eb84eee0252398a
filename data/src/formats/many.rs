//! Several files as one dataset, end to end. The first file's columns count: the others must have them,
//! in any order, and what they have beyond is not looked at.

use crate::dataset::Outline;
use crate::{Block, Chunk, Column, DataError, Dataset, FileEntry, Place, Wrong};

/// Files end to end.
pub(super) struct Many {
    outline: Outline,
    files: Vec<Part>,
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
    pub(super) fn new(name: &str, files: Vec<Box<dyn Dataset>>) -> Result<Self, DataError> {
        let expected = files.first().map(|data| (data.file().to_owned(), data.columns().to_vec()));
        let (first_file, expected) = expected.unwrap_or_default();
        let blocks = files.iter().flat_map(|data| data.blocks()).map(|block| block.rows);
        let outline = Outline::new(name, expected, blocks)?;
        let (mut parts, mut first) = (Vec::new(), 0);
        for data in files {
            let find = |column: &Column| {
                data.columns().iter().position(|there| there.name == column.name).ok_or_else(|| {
                    DataError::column(data.file(), &column.name, Wrong::Unequal { first: first_file.clone() })
                })
            };
            let columns = outline.columns.iter().map(find).collect::<Result<_, _>>()?;
            let rows = data.rows();
            parts.push(Part { data, first, columns });
            first += rows;
        }
        Ok(Self { outline, files: parts })
    }

    fn part(&self, row: u64) -> Option<&Part> {
        let after = self.files.partition_point(|part| part.first <= row);
        self.files.get(after.checked_sub(1)?)
    }
}

impl Dataset for Many {
    fn outline(&self) -> &Outline {
        &self.outline
    }

    fn read(&self, block: Block, columns: &[usize]) -> Result<Chunk, DataError> {
        self.outline.index(block)?;
        let Some(part) = self.part(block.first) else { return Ok(Chunk::default()) };
        let there = |column: &usize| part.columns.get(*column).copied().unwrap_or(usize::MAX);
        let columns: Vec<usize> = columns.iter().map(there).collect();
        let block = Block { first: block.first - part.first, rows: block.rows };
        let mut chunk = part.data.read(block, &columns)?;
        chunk.torn.iter_mut().for_each(|(row, _)| *row += part.first);
        Ok(chunk)
    }

    fn locate(&self, row: u64) -> (String, Place) {
        match self.part(row) {
            Some(part) => part.data.locate(row - part.first),
            None => (self.file().into(), Place::Row(row)),
        }
    }

    fn files(&self) -> Vec<FileEntry> {
        self.files.iter().flat_map(|part| part.data.files()).collect()
    }
}
