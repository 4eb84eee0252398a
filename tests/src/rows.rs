//! The same rows in several formats, and a run on them.

#![allow(clippy::unwrap_used, reason = "a harness fails by panicking")]

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

/// A run on three classes; `more` are keys of `[data]`.
pub fn run(train: &str, target: &str, more: &str) -> String {
    format!(
        r#"
name = "rows"
seed = 5
data = {{ train = {train:?}, target = {target:?}, {more} }}
model = {{ loss = "cross_entropy", layers = [{{ linear = 7 }}, "relu", {{ linear = 3 }}] }}
train = {{ epochs = 2, batch_size = 64 }}
"#
    )
}

/// The target of [`files`].
pub const TARGET: &str = "column_4";

const COLUMNS: usize = 4;

fn value(row: usize, column: usize) -> f64 {
    match column {
        3 => (row % 3) as f64,
        _ => (row * 7919 % 1009) as f64 / [1.0, 8.0, 64.0][column % 3],
    }
}

fn batch(rows: usize) -> RecordBatch {
    let column = |c: usize| -> (String, ArrayRef) {
        (
            format!("column_{}", c + 1),
            Arc::new(Float64Array::from_iter_values((0..rows).map(|r| value(r, c)))),
        )
    };
    RecordBatch::try_from_iter((0..COLUMNS).map(column)).unwrap()
}

const HEADER: &str = "column_1,column_2,column_3,column_4\n";

fn line(row: usize) -> String {
    (0..COLUMNS).map(|column| value(row, column).to_string()).collect::<Vec<_>>().join(",") + "\n"
}

/// Files of so many rows, which each format cuts into blocks of its own.
pub fn files(rows: usize) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("rows.csv", csv(rows)),
        ("rows.parquet", parquet(rows, rows, true)),
        ("bare.parquet", parquet(rows, rows, false)),
        ("rows.arrow", arrow(rows, 9000)),
        ("rows.arrows", stream(rows, 9000)),
        ("rows.npy", npy(rows)),
    ]
}

/// Files of so many rows that are cut into the same blocks: of the 4,096 rows that text and arrays have.
pub fn alike(rows: usize) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("rows.csv", csv(rows)),
        ("rows.parquet", parquet(rows, 4096, true)),
        ("bare.parquet", parquet(rows, 4096, false)),
        ("rows.arrow", arrow(rows, 4096)),
        ("rows.arrows", stream(rows, 4096)),
        ("rows.npy", npy(rows)),
    ]
}

fn csv(rows: usize) -> Vec<u8> {
    std::iter::once(HEADER.into()).chain((0..rows).map(line)).collect::<String>().into()
}

fn parquet(rows: usize, group: usize, index: bool) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_offset_index_disabled(!index)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_data_page_row_count_limit(4096)
        .set_write_batch_size(1024)
        .set_max_row_group_row_count(Some(group))
        .build();
    let batch = batch(rows);
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn batches(rows: usize, group: usize) -> Vec<RecordBatch> {
    let batch = batch(rows);
    (0..rows).step_by(group).map(|first| batch.slice(first, group.min(rows - first))).collect()
}

fn arrow(rows: usize, group: usize) -> Vec<u8> {
    let batches = batches(rows, group);
    let mut writer = FileWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

fn stream(rows: usize, group: usize) -> Vec<u8> {
    let batches = batches(rows, group);
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

fn npy(rows: usize) -> Vec<u8> {
    let elements =
        (0..rows).flat_map(|row| (0..COLUMNS).flat_map(move |column| value(row, column).to_le_bytes()));
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {COLUMNS}), }}\n");
    let mut npy =
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
    npy.extend(elements);
    npy
}

/// The same rows in four files.
pub fn parts(rows: usize) -> Vec<(String, Vec<u8>)> {
    let part = |i: usize| {
        let lines = (rows * i / 4..rows * (i + 1) / 4).map(line);
        (format!("part-{i}.csv"), std::iter::once(HEADER.into()).chain(lines).collect::<String>().into())
    };
    (0..4).map(part).collect()
}
