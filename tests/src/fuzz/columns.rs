//! Valid files of the formats that keep columns.

use std::io::{Cursor, Write};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A few rows in each format.
pub(super) fn valid() -> Vec<(&'static str, Vec<u8>)> {
    let columns: [(&str, ArrayRef); 3] = [
        ("x", Arc::new(Int32Array::from(vec![Some(1), None, Some(-3), Some(4), Some(1 << 30)]))),
        ("y", Arc::new(Float64Array::from(vec![0.5, 1e3, -2.0, 0.0, 7.25]))),
        ("label", Arc::new(StringArray::from(vec!["a", "b", "a", "b", "c"]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    vec![
        ("plain.parquet", parquet(&batch, Compression::UNCOMPRESSED)),
        ("zstd.parquet", parquet(&batch, Compression::ZSTD(ZstdLevel::default()))),
        ("snappy.parquet", parquet(&batch, Compression::SNAPPY)),
        ("plain.arrow", file(&batch, None)),
        ("lz4.arrow", file(&batch, Some(CompressionType::LZ4_FRAME))),
        ("zstd.arrow", file(&batch, Some(CompressionType::ZSTD))),
        ("stream.arrows", stream(&batch)),
        (
            "rows.npy",
            npy("<f8", "(3, 2)", &[1.5f64, -2.0, 0.0, 1e300, 3.0, 4.0].map(f64::to_le_bytes).concat()),
        ),
        ("texts.npy", npy("<U1", "(2,)", b"a\0\0\0b\0\0\0")),
        ("rows.npz", npz()),
    ]
}

fn parquet(batch: &RecordBatch, compression: Compression) -> Vec<u8> {
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn file(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

fn npz() -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, values) in [("x", [1, 2, 3, 4]), ("label", [0, 1, 1, 0])] {
        writer.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        writer.write_all(&npy("|u1", "(4,)", &values)).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
