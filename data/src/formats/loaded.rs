//! A file whose columns are in memory.

use std::collections::BTreeMap;

use arrow_array::{Array, ArrayRef};

use crate::dataset::{blocks_from, blocks_of, check_names};
use crate::{Block, Column, DataError, Dataset, Kind, Place, Values, Wrong};

/// Columns as they were stored, block by block.
#[derive(Debug)]
pub(super) struct Loaded {
    file: String,
    columns: Vec<Column>,
    blocks: Vec<Block>,
    /// For each block an array a column.
    arrays: Vec<Vec<ArrayRef>>,
    torn: BTreeMap<u64, Wrong>,
}

impl Loaded {
    /// Of batches, in order; in each, the arrays have one length.
    pub(super) fn batches(
        file: String,
        columns: Vec<Column>,
        batches: Vec<Vec<ArrayRef>>,
    ) -> Result<Self, DataError> {
        check_names(&file, &columns)?;
        let rows = |arrays: &Vec<ArrayRef>| arrays.first().map_or(0, |array| array.len());
        let arrays: Vec<_> = batches.into_iter().filter(|arrays| rows(arrays) > 0).collect();
        let blocks = blocks_from(arrays.iter().map(|arrays| rows(arrays) as u64));
        if blocks.is_empty() {
            return Err(DataError::whole(file, Wrong::NoRows));
        }
        Ok(Self { file, columns, blocks, arrays, torn: BTreeMap::new() })
    }

    /// Of one array a column, all of one length.
    pub(super) fn whole(file: String, columns: Vec<(Column, ArrayRef)>) -> Result<Self, DataError> {
        let (columns, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let rows = arrays.first().map_or(0, |array| array.len());
        let cut = |block: Block| {
            let at = |row: u64| usize::try_from(row).unwrap_or(rows).min(rows);
            let part = |array: &ArrayRef| array.slice(at(block.first), at(block.rows));
            arrays.iter().map(part).collect()
        };
        let batches = blocks_of(rows as u64).into_iter().map(cut).collect();
        Self::batches(file, columns, batches)
    }
}

impl Dataset for Loaded {
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
        let index = self.blocks.binary_search_by_key(&block.first, |block| block.first);
        let arrays = index.ok().and_then(|index| self.arrays.get(index)).map_or(&[][..], Vec::as_slice);
        let values = |column: &usize| {
            let name = self.columns.get(*column).map(|column| column.name.as_str()).unwrap_or_default();
            let unfit = |found| DataError::column(&self.file, name, Wrong::NoValues { found });
            let array = arrays.get(*column).ok_or_else(|| unfit("nothing".into()))?;
            match self.columns.get(*column) {
                Some(Column { kind: Kind::Bytes(_), .. }) => {
                    Values::bytes(array).ok_or_else(|| unfit("nothing".into()))
                }
                _ => Values::of(array).map_err(unfit),
            }
        };
        columns.iter().map(values).collect()
    }

    fn locate(&self, row: u64) -> (String, Place) {
        (self.file.clone(), Place::Row(row))
    }

    fn torn(&self) -> &BTreeMap<u64, Wrong> {
        &self.torn
    }
}
