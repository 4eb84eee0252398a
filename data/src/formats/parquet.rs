//! Parquet. A row group is a block, read when it is asked for, and only the columns that are asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::guard::guarded;
use super::{arrow, file};
use crate::dataset::{blocks_from, check_names};
use crate::{Block, Column, DataError, Dataset, Place, Values, Wrong};

const FORMAT: &str = "a Parquet file";

/// A Parquet file.
#[derive(Debug)]
pub(super) struct Parquet {
    name: String,
    file: File,
    metadata: ArrowReaderMetadata,
    columns: Vec<Column>,
    blocks: Vec<Block>,
    /// The row group of each block.
    groups: Vec<usize>,
    torn: BTreeMap<u64, Wrong>,
}

impl Parquet {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        // Says what is missing better than the reader does.
        let name = file::open(path)?.name;
        let file = File::open(path).map_err(|error| DataError::whole(&name, Wrong::Io(error.to_string())))?;
        let metadata = guarded(&name, FORMAT, || {
            ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|error| error.to_string())
        })?;
        let columns = arrow::columns(metadata.schema());
        check_names(&name, &columns)?;
        let rows: Vec<u64> = (metadata.metadata().row_groups().iter())
            .map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
            .collect();
        let groups = (0..).zip(&rows).filter(|(_, rows)| **rows > 0).map(|(group, _)| group).collect();
        // What a file announces may be anything; rows are counted up.
        if rows.iter().try_fold(0u64, |all, rows| all.checked_add(*rows)).is_none() {
            return Err(DataError::whole(
                name,
                Wrong::Damaged { format: FORMAT, why: "its rows cannot be counted".into() },
            ));
        }
        let blocks = blocks_from(rows);
        if blocks.is_empty() {
            return Err(DataError::whole(name, Wrong::NoRows));
        }
        Ok(Self { name, file, metadata, columns, blocks, groups, torn: BTreeMap::new() })
    }

    fn batch(&self, block: Block, group: usize, columns: &[usize]) -> Result<RecordBatch, String> {
        let file = self.file.try_clone().map_err(|error| error.to_string())?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        // The reader reserves room for a batch, and what a file announces may be anything.
        const BATCH: usize = 1 << 16;
        let reader = builder
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_batch_size(BATCH.min(usize::try_from(block.rows).unwrap_or(BATCH)))
            .build()
            .map_err(|error| error.to_string())?;
        let schema = arrow_array::RecordBatchReader::schema(&reader);
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let batch = concat_batches(&schema, &batches).map_err(|error| error.to_string())?;
        if batch.num_rows() as u64 != block.rows {
            return Err(format!("found {} rows, expected {}", batch.num_rows(), block.rows));
        }
        Ok(batch)
    }
}

impl Dataset for Parquet {
    fn file(&self) -> &str {
        &self.name
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    fn read(&self, block: Block, columns: &[usize]) -> Result<Vec<Values>, DataError> {
        let index = self.blocks.binary_search_by_key(&block.first, |block| block.first);
        let group = index.ok().and_then(|index| self.groups.get(index)).copied().unwrap_or(usize::MAX);
        let batch = guarded(&self.name, FORMAT, || self.batch(block, group, columns))?;
        // Columns come in the file's order, whatever was asked for.
        let mut sorted: Vec<usize> = columns.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let values = |column: &usize| {
            let name = self.columns.get(*column).map(|column| column.name.as_str()).unwrap_or_default();
            let unfit = |found| DataError::column(&self.name, name, Wrong::NoValues { found });
            let at = sorted.binary_search(column).unwrap_or(usize::MAX);
            let array = batch.columns().get(at).ok_or_else(|| unfit("nothing".into()))?;
            guarded(&self.name, FORMAT, || Ok(Values::of(array)))?.map_err(unfit)
        };
        columns.iter().map(values).collect()
    }

    fn locate(&self, row: u64) -> (String, Place) {
        (self.name.clone(), Place::Row(row))
    }

    fn torn(&self) -> &BTreeMap<u64, Wrong> {
        &self.torn
    }
}
