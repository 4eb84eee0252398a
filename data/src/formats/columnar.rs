//! What Parquet and Arrow have in common: a schema, and batches of arrays.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::guard::guarded;
use crate::dataset::{Outline, cut};
use crate::{Column, DataError, Kind, Values, Wrong};

const MOST_ROWS: u64 = 16_384;
const LEAST_ROWS: u64 = 1024;
/// Cells of a block, unless that were too few rows.
const CELLS: u64 = 4 << 20;

/// Rows in a part of a row group or batch.
pub(super) fn step(columns: usize) -> u64 {
    (CELLS / (columns as u64).max(1)).clamp(LEAST_ROWS, MOST_ROWS)
}

/// The columns of a schema.
pub(super) fn columns(schema: &SchemaRef) -> Vec<Column> {
    let column = |field: &arrow_schema::FieldRef| Column {
        name: field.name().clone(),
        kind: Kind::of(field.data_type()),
    };
    schema.fields().iter().map(column).collect()
}

/// A part of a row group or batch: which one, and its first row there.
pub(super) type Part = (usize, u64);

/// The blocks of a file whose groups have so many rows, each a part of one.
pub(super) fn parts(
    file: &str,
    columns: Vec<Column>,
    groups: &[u64],
) -> Result<(Outline, Vec<Part>), DataError> {
    let step = step(columns.len());
    // What a file announces may be anything, and an outline has a limit.
    let outline = Outline::new(file, columns, groups.iter().flat_map(|rows| cut(*rows, step)))?;
    let of =
        |(index, rows): (usize, &u64)| (0..*rows).step_by(step as usize).map(move |first| (index, first));
    Ok((outline, groups.iter().enumerate().flat_map(of).collect()))
}

/// Columns as readers give them: in the file's order, each once, and none that is not there.
pub(super) fn sorted(columns: &[usize], outline: &Outline) -> Vec<usize> {
    let there = columns.iter().copied().filter(|column| *column < outline.columns.len());
    let mut sorted: Vec<usize> = there.collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

/// The values of some columns in a batch that has those that are `sorted`.
pub(super) fn values(
    outline: &Outline,
    format: &'static str,
    batch: &RecordBatch,
    sorted: &[usize],
    columns: &[usize],
) -> Result<Vec<Values>, DataError> {
    let values = |column: &usize| {
        let unfit =
            |found| DataError::column(&outline.name, outline.column(*column), Wrong::NoValues { found });
        let at = sorted.binary_search(column).unwrap_or(usize::MAX);
        let array = batch.columns().get(at).ok_or_else(|| unfit("nothing".into()))?;
        guarded(&outline.name, format, || Ok(Values::of(array)))?.map_err(unfit)
    };
    columns.iter().map(values).collect()
}
