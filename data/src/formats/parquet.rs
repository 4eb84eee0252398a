//! Parquet. Row groups are cut into parts; of a part, only the columns that are asked for are read.
//!
//! A part is found by the file's page index. Where there is none, what lies before it in its row group must
//! be gone through: so the reader of the part before is kept, in case that parts are read in order.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::{ChunkReader, Length};

use super::columnar::{self, Part, sorted};
use super::guard::guarded;
use crate::dataset::Outline;
use crate::places::{Ahead, Blob, Opened, Stream};
use crate::{Block, Chunk, DataError, Dataset, FileEntry, Place};

const FORMAT: &str = "a Parquet file";
/// Readers that are kept, of all files of a dataset: each holds a page a column.
const READERS: usize = 4;

/// A Parquet file.
pub(super) struct Parquet {
    outline: Outline,
    opened: Opened,
    metadata: ArrowReaderMetadata,
    /// The row group of each block, and its first row there.
    parts: Vec<Part>,
    readers: Arc<Readers>,
}

impl Parquet {
    pub(super) fn open(opened: Opened, readers: Arc<Readers>) -> Result<Self, DataError> {
        let name = opened.name();
        let metadata = guarded(name, FORMAT, || {
            let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
            ArrowReaderMetadata::load(&Chunks(opened.blob.clone()), options)
                .map_err(|error| error.to_string())
        })?;
        let groups = metadata.metadata().row_groups().iter();
        let groups: Vec<u64> = groups.map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).collect();
        let (outline, parts) = columnar::parts(name, columnar::columns(metadata.schema()), &groups)?;
        Ok(Self { outline, opened, metadata, parts, readers })
    }

    fn batch(&self, rows: u64, (group, first): Part, columns: &[usize]) -> Result<RecordBatch, String> {
        let key = Key { file: self.opened.name().into(), group, columns: columns.to_vec() };
        let kept = self.readers.take(&key, first);
        let mut reader = kept.map_or_else(|| self.reader(rows, group, first, columns), Ok)?;
        let schema = reader.schema();
        let (mut batches, mut found) = (Vec::new(), 0);
        while found < rows {
            let Some(batch) = reader.next() else { break };
            let batch = batch.map_err(|error| error.to_string())?;
            found += batch.num_rows() as u64;
            batches.push(batch);
        }
        if found != rows {
            return Err(format!("found {found} rows, expected {rows}"));
        }
        // At the end of a group there is nothing to go on with.
        let all = self.metadata.metadata().row_groups().get(group).map_or(0, |group| group.num_rows());
        // Nor is there if a part was fetched by the index.
        let index = self.metadata.metadata().page_index_for_row_group(group);
        let part = self.opened.blob.distant() && index.page_locations(0).is_some();
        if !part && u64::try_from(all).is_ok_and(|all| first + rows < all) {
            self.readers.keep(key, first + rows, reader);
        }
        match batches.as_slice() {
            [only] => Ok(only.clone()),
            _ => concat_batches(&schema, &batches).map_err(|error| error.to_string()),
        }
    }

    /// What a reader reads from. Of a distant file, what it will need is fetched ahead: by the page index, the
    /// pages of its part; without one, the columns' chunks of the group.
    fn ahead(&self, rows: u64, group: usize, first: u64, columns: &[usize]) -> Result<Arc<dyn Blob>, String> {
        let blob = self.opened.blob.clone();
        if !blob.distant() {
            return Ok(blob);
        }
        let metadata = self.metadata.metadata();
        let index = metadata.page_index_for_row_group(group);
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), columns.iter().copied());
        let mut ranges = Vec::new();
        for (leaf, chunk) in metadata.row_group(group).columns().iter().enumerate() {
            if !mask.leaf_included(leaf) {
                continue;
            }
            let (start, length) = chunk.byte_range();
            let whole = start..start.saturating_add(length);
            match index.page_locations(leaf) {
                Some(pages) => ranges.extend(pages_of(pages, whole, first, rows)),
                None => ranges.push(whole),
            }
        }
        Ok(Arc::new(Ahead::new(blob, ranges).map_err(|error| error.what.to_string())?))
    }

    /// A reader of a row group from some row on. A batch of it is a part.
    fn reader(
        &self,
        rows: u64,
        group: usize,
        first: u64,
        columns: &[usize],
    ) -> Result<ParquetRecordBatchReader, String> {
        let file = Chunks(self.ahead(rows, group, first, columns)?);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let size = |rows: u64| usize::try_from(rows).map_err(|error| error.to_string());
        let builder = builder.with_projection(mask).with_row_groups(vec![group]).with_offset(size(first)?);
        // A last part is shorter than those before, so a reader that begins with it reads no other.
        builder.with_batch_size(size(rows)?).build().map_err(|error| error.to_string())
    }
}

impl Dataset for Parquet {
    fn outline(&self) -> &Outline {
        &self.outline
    }

    fn read(&self, block: Block, columns: &[usize]) -> Result<Chunk, DataError> {
        let index = self.outline.index(block)?;
        let part = self.parts.get(index).copied().unwrap_or((usize::MAX, 0));
        let sorted = sorted(columns, &self.outline);
        let batch = guarded(self.file(), FORMAT, || self.batch(block.rows, part, &sorted))?;
        let values = columnar::values(&self.outline, FORMAT, &batch, &sorted, columns)?;
        Ok(Chunk { values, torn: Vec::new() })
    }

    fn locate(&self, row: u64) -> (String, Place) {
        (self.file().into(), Place::Row(row))
    }

    fn files(&self) -> Vec<FileEntry> {
        vec![self.opened.entry(self.outline.rows(), None)]
    }
}

/// Where the pages of some rows are, and what stands before all pages: a dictionary.
fn pages_of(pages: &[PageLocation], whole: Range<u64>, first: u64, rows: u64) -> Vec<Range<u64>> {
    let at = |page: &PageLocation| u64::try_from(page.offset).unwrap_or(whole.end);
    let row = |page: &PageLocation| u64::try_from(page.first_row_index).unwrap_or(0);
    let mut ranges = vec![whole.start..pages.first().map_or(whole.start, at)];
    for (place, page) in pages.iter().enumerate() {
        let end = pages.get(place + 1).map_or(u64::MAX, row);
        if end > first && row(page) < first + rows {
            let length = u64::try_from(page.compressed_page_size).unwrap_or(0);
            ranges.push(at(page)..at(page).saturating_add(length));
        }
    }
    ranges
}

/// What a reader reads.
#[derive(PartialEq, Eq)]
struct Key {
    file: String,
    group: usize,
    columns: Vec<usize>,
}

/// Readers in the middle of their row groups, the one used last at the end.
#[derive(Default)]
pub(super) struct Readers(Mutex<VecDeque<(Key, u64, ParquetRecordBatchReader)>>);

impl Readers {
    /// A reader whose next row is that one.
    fn take(&self, key: &Key, row: u64) -> Option<ParquetRecordBatchReader> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(of, next, _)| of == key && *next == row)?;
        kept.remove(place).map(|(_, _, reader)| reader)
    }

    fn keep(&self, key: Key, row: u64, reader: ParquetRecordBatchReader) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((key, row, reader));
        if kept.len() > READERS {
            kept.pop_front();
        }
    }
}

/// A blob, for the reader of Parquet.
struct Chunks(Arc<dyn Blob>);

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.length()
    }
}

impl ChunkReader for Chunks {
    type T = Stream;

    fn get_read(&self, start: u64) -> Result<Stream, ParquetError> {
        Ok(Stream::new(self.0.clone(), start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.saturating_add(length as u64);
        self.0.read(start..end).map_err(|error| ParquetError::External(Box::new(error)))
    }
}
