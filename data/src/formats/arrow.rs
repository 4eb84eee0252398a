//! Arrow IPC: the file format (Feather's second version) and the stream format, also compressed inside.

use std::io::Cursor;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, SchemaRef};

use super::announced;
use super::file;
use super::guard::guarded;
use super::loaded::Loaded;
use crate::{Column, DataError, Kind};

pub(super) fn open(path: &Path) -> Result<Loaded, DataError> {
    let mut opened = file::open(path)?;
    let bytes = opened.read(u64::MAX)?;
    let (schema, batches) = guarded(&opened.name, "an Arrow file", || {
        announced::check(&bytes)?;
        let read = if bytes.starts_with(b"ARROW1") {
            FileReader::try_new(Cursor::new(bytes), None)
                .and_then(|reader| Ok((reader.schema(), all(reader)?)))
        } else {
            StreamReader::try_new(Cursor::new(bytes), None)
                .and_then(|reader| Ok((reader.schema(), all(reader)?)))
        };
        read.map_err(|error| error.to_string())
    })?;
    let batches = batches.into_iter().map(|batch| batch.columns().to_vec()).collect();
    Loaded::batches(opened.name, columns(&schema), batches)
}

fn all(
    reader: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<Vec<RecordBatch>, ArrowError> {
    reader.collect()
}

/// The columns of a schema.
pub(super) fn columns(schema: &SchemaRef) -> Vec<Column> {
    let column = |field: &arrow_schema::FieldRef| Column {
        name: field.name().clone(),
        kind: Kind::of(field.data_type()),
    };
    schema.fields().iter().map(column).collect()
}
