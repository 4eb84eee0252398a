//! The same rows in several formats, and a run on them.

#![allow(clippy::unwrap_used, reason = "a harness fails by panicking")]

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

/// A run file; its data are `rows.csv`.
pub const RUN: &str = r#"
name = "rows"
seed = 5
data = { train = "rows.csv", validation = 0.2, target = "column_4" }
model = { loss = "cross_entropy", layers = [{ linear = 7 }, "relu", { linear = 3 }] }
train = { epochs = 2, batch_size = 64 }
"#;

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

/// Files of so many rows.
pub fn files(rows: usize) -> Vec<(&'static str, Vec<u8>)> {
    let batch = batch(rows);
    let parquet = |index: bool| {
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_offset_index_disabled(!index)
            .set_statistics_enabled(parquet::file::properties::EnabledStatistics::Chunk)
            .set_data_page_row_count_limit(4096)
            .set_write_batch_size(1024)
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    };
    let mut arrow = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    let mut stream = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    for first in (0..rows).step_by(9000) {
        let part = batch.slice(first, 9000.min(rows - first));
        arrow.write(&part).unwrap();
        stream.write(&part).unwrap();
    }
    let elements =
        (0..rows).flat_map(|row| (0..COLUMNS).flat_map(move |column| value(row, column).to_le_bytes()));
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {COLUMNS}), }}\n");
    let mut npy =
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
    npy.extend(elements);
    let text: String = std::iter::once(HEADER.into()).chain((0..rows).map(line)).collect();
    vec![
        ("rows.csv", text.into()),
        ("rows.parquet", parquet(true)),
        ("bare.parquet", parquet(false)),
        ("rows.arrow", arrow.into_inner().unwrap()),
        ("rows.arrows", stream.into_inner().unwrap()),
        ("rows.npy", npy),
    ]
}

/// The same rows in four files.
pub fn parts(rows: usize) -> Vec<(String, Vec<u8>)> {
    let part = |i: usize| {
        let lines = (rows * i / 4..rows * (i + 1) / 4).map(line);
        (format!("part-{i}.csv"), std::iter::once(HEADER.into()).chain(lines).collect::<String>().into())
    };
    (0..4).map(part).collect()
}
