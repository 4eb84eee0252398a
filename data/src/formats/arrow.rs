//! Arrow IPC: the file format (Feather's second version) and the stream format, also compressed inside.
//! Batches are read one by one; a large one is several blocks, and is kept until another is asked for.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::{read_dictionary, read_record_batch};

use super::announced;
use super::columnar::{self, Part, sorted, step};
use super::guard::guarded;
use super::messages::{Messages, Place as Spot};
use crate::dataset::Outline;
use crate::places::Opened;
use crate::{Block, Chunk, DataError, Dataset, FileEntry, Place};

const FORMAT: &str = "an Arrow file";

/// An Arrow file or stream.
pub(super) struct Arrow {
    outline: Outline,
    opened: Opened,
    messages: Messages,
    /// The batch of each block, and its first row there.
    parts: Vec<Part>,
    /// After so many of them.
    dictionaries: Mutex<Option<(usize, Arc<Dictionaries>)>>,
    /// The last batch that has several blocks, and its columns.
    last: Mutex<Option<(usize, Vec<usize>, RecordBatch)>>,
}

#[allow(clippy::disallowed_types, reason = "that of the reader; it only looks numbers up")]
type Dictionaries = std::collections::HashMap<i64, ArrayRef>;

impl Arrow {
    pub(super) fn open(opened: Opened) -> Result<Self, DataError> {
        let name = opened.name();
        let messages = guarded(name, FORMAT, || Messages::of(&opened.blob))?;
        let groups: Vec<u64> = messages.batches.iter().map(|batch| batch.rows).collect();
        let (outline, parts) = columnar::parts(name, columnar::columns(&messages.schema), &groups)?;
        let (dictionaries, last) = (Mutex::default(), Mutex::default());
        let opened = Self { outline, parts, messages, opened, dictionaries, last };
        // Damaged dictionaries are found now rather than at some row.
        guarded(opened.file(), FORMAT, || opened.dictionaries(usize::MAX).map(drop))?;
        Ok(opened)
    }

    /// The dictionaries after the first few of their messages.
    fn dictionaries(&self, count: usize) -> Result<Arc<Dictionaries>, String> {
        let mut kept = self.dictionaries.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.min(self.messages.dictionaries.len());
        if let Some((_, known)) = kept.as_ref().filter(|(known, _)| *known == count) {
            return Ok(known.clone());
        }
        let mut all = Dictionaries::default();
        for place in self.messages.dictionaries.iter().take(count) {
            let (header, body) = place.whole(&self.opened.blob)?;
            let message = place.message(&header)?;
            announced::check(message, &body)?;
            let batch = message.header_as_dictionary_batch().ok_or("expected a dictionary")?;
            let (buffer, schema, version) = (Buffer::from(body), &self.messages.schema, message.version());
            read_dictionary(&buffer, batch, schema, &mut all, &version).map_err(|error| error.to_string())?;
        }
        let all = Arc::new(all);
        *kept = Some((count, all.clone()));
        Ok(all)
    }

    /// Some columns of a batch.
    fn batch(&self, index: usize, columns: &[usize]) -> Result<RecordBatch, String> {
        let batch = self.messages.batches.get(index).ok_or("there is no such batch")?;
        let large = batch.rows > step(self.outline.columns.len());
        if large {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((.., known)) = last.as_ref().filter(|(of, with, _)| *of == index && with == columns) {
                return Ok(known.clone());
            }
        }
        let dictionaries = self.dictionaries(batch.dictionaries)?;
        let found = self.decode(batch.place, columns, &dictionaries)?;
        if found.num_rows() as u64 != batch.rows {
            return Err(format!("found {} rows, expected {}", found.num_rows(), batch.rows));
        }
        if large {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((index, columns.to_vec(), found.clone()));
        }
        Ok(found)
    }

    fn decode(
        &self,
        place: Spot,
        columns: &[usize],
        dictionaries: &Dictionaries,
    ) -> Result<RecordBatch, String> {
        let (header, body) = place.whole(&self.opened.blob)?;
        let message = place.message(&header)?;
        announced::check(message, &body)?;
        let batch = message.header_as_record_batch().ok_or("expected rows")?;
        let (buffer, schema) = (Buffer::from(body), self.messages.schema.clone());
        read_record_batch(&buffer, batch, schema, dictionaries, Some(columns), &message.version())
            .map_err(|error| error.to_string())
    }
}

impl Dataset for Arrow {
    fn outline(&self) -> &Outline {
        &self.outline
    }

    fn read(&self, block: Block, columns: &[usize]) -> Result<Chunk, DataError> {
        let index = self.outline.index(block)?;
        let (batch, first) = self.parts.get(index).copied().unwrap_or((usize::MAX, 0));
        let sorted = sorted(columns, &self.outline);
        let batch = guarded(self.file(), FORMAT, || {
            let whole = self.batch(batch, &sorted)?;
            let at = |row: u64| usize::try_from(row).map_err(|error| error.to_string());
            Ok(whole.slice(at(first)?, at(block.rows)?))
        })?;
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
