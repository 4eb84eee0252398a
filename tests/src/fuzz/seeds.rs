//! Makes the files of `tests/corpus/`, with the writers that users have.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use lockstep_core::run::parse;
use lockstep_data::Goal;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::catalog::{PLACE, RUN};

const TABLE: &str = "x,y,label\n1,2,a\n-0.5,1e3,b\n3,4,a\n\"5\",6,b\n7,8,\"a\"\n";
const TYPED: &str = "\u{feff}x,y,label\r\n2024-02-29,true,a\r\n,no,b\r\n\r\n2024-02-29T23:59:60Z,1,\"a \"\"b\"\"\nc,\"\r\n20240301 04:05,,?\r\n";
const OBJECTS: &str = "{\"x\": 1, \"y\": 2.5, \"label\": \"a\"}\n{\"y\": null, \"x\": -3, \"label\": \"b\"}\n\n{\"label\": \"a\", \"x\": \"7\", \"y\": 1e3}\n";

/// Writes all of them.
pub(super) fn write(corpus: &Path) {
    let put = |name: &str, bytes: &[u8]| {
        let path = corpus.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put("csv/table.csv", TABLE.as_bytes());
    put("csv/typed.csv", TYPED.as_bytes());
    put("csv/table.csv.gz", &gzip(TABLE.as_bytes()));
    put("csv/table.csv.zst", &zstd::bulk::compress(TABLE.as_bytes(), 1).unwrap());
    put("tsv/table.tsv", TABLE.replace(',', "\t").as_bytes());
    put("jsonl/table.jsonl", OBJECTS.as_bytes());
    for (name, bytes) in parquet_files().into_iter().chain(arrow_files()).chain(numpy_files()) {
        put(name, &bytes);
    }
    let (images, labels) = (idx(&[3, 2, 2], 0..12), idx(&[3], [1, 0, 1].into_iter()));
    put("idx/images.idx", &images);
    put("idx/labels.idx", &labels);
    put("idx/images.idx.gz", &gzip(&images));
    put("idx/labels.idx.gz", &gzip(&labels));
    for i in 0..3 {
        let rows = (0..10).map(|row| format!("{},{},{}\n", row * 7 % 5, i, ["a", "b"][row % 2]));
        put(
            &format!("catalog/part-{i}.csv"),
            ("x,y,label\n".to_owned() + &rows.collect::<String>()).as_bytes(),
        );
    }
    put("catalog/groups.parquet", &parquet(&numbers(), properties().set_max_row_group_row_count(Some(7))));
    for (name, train) in [("parts", "part-*.csv"), ("groups", "groups.parquet")] {
        let folder = corpus.join("catalog");
        let run = parse(RUN, &[format!("data.train={train}")]).unwrap();
        let catalog = lockstep_data::load(&run.data, Goal::of(&run), run.seed, &folder).unwrap().catalog;
        let json = serde_json::to_string_pretty(&catalog).unwrap();
        put(&format!("catalog/{name}.json"), json.replace(folder.to_str().unwrap(), PLACE).as_bytes());
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Level::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn mixed() -> RecordBatch {
    let columns: [(&str, ArrayRef); 3] = [
        ("x", Arc::new(Int32Array::from(vec![Some(1), None, Some(-3), Some(4), Some(1 << 30)]))),
        ("y", Arc::new(Float64Array::from(vec![0.5, 1e3, -2.0, 0.0, 7.25]))),
        ("label", Arc::new(StringArray::from(vec!["a", "b", "a", "b", "c"]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Dates, truths and a dictionary.
fn typed() -> RecordBatch {
    let labels: DictionaryArray<Int32Type> = ["a", "b", "a", "b", "a"].into_iter().collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("x", Arc::new(Date32Array::from(vec![Some(19_000), None, Some(-1), Some(0), Some(1 << 20)]))),
        ("y", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true), Some(true)]))),
        ("z", Arc::new(TimestampMicrosecondArray::from(vec![0, 1, -1, 1 << 50, 1 << 40]))),
        ("label", Arc::new(labels)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn numbers() -> RecordBatch {
    let column = |step: i32| Arc::new(Int32Array::from_iter_values((0..20).map(|row| row * step % 11)));
    let labels = StringArray::from_iter_values((0..20).map(|row| ["a", "b"][row % 2]));
    let columns: [(&str, ArrayRef); 3] = [("x", column(3)), ("y", column(5)), ("label", Arc::new(labels))];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn parquet_files() -> Vec<(&'static str, Vec<u8>)> {
    let packed = |by| parquet(&mixed(), properties().set_compression(by));
    vec![
        ("parquet/plain.parquet", packed(Compression::UNCOMPRESSED)),
        ("parquet/zstd.parquet", packed(Compression::ZSTD(ZstdLevel::default()))),
        ("parquet/snappy.parquet", packed(Compression::SNAPPY)),
        ("parquet/typed.parquet", parquet(&typed(), properties())),
        ("parquet/groups.parquet", parquet(&numbers(), properties().set_max_row_group_row_count(Some(7)))),
    ]
}

fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_created_by("lockstep".into())
}

fn parquet(batch: &RecordBatch, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn arrow_files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("arrow/plain.arrow", arrow(&mixed(), None)),
        ("arrow/lz4.arrow", arrow(&mixed(), Some(CompressionType::LZ4_FRAME))),
        ("arrow/zstd.arrow", arrow(&mixed(), Some(CompressionType::ZSTD))),
        ("arrow/typed.arrow", arrow(&typed(), None)),
        ("arrow/stream.arrows", stream(&mixed())),
        ("arrow/typed.arrows", stream(&typed())),
    ]
}

fn arrow(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<u8> {
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

fn numpy_files() -> Vec<(&'static str, Vec<u8>)> {
    let reals = [1.5f64, -2.0, 0.0, 1e300, 3.0, 4.0].map(f64::to_le_bytes).concat();
    let shorts = [1i16, -2, 300, 4, 5, -600].map(i16::to_be_bytes).concat();
    vec![
        ("npy/rows.npy", npy("<f8", false, "(3, 2)", &reals)),
        ("npy/fortran.npy", npy(">i2", true, "(2, 3)", &shorts)),
        ("npy/texts.npy", npy("<U1", false, "(2,)", b"a\0\0\0b\0\0\0")),
        ("npz/rows.npz", npz(&[("x", &[1, 2, 3, 4]), ("label", &[0, 1, 1, 0])])),
    ]
}

fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

fn npz(arrays: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, values) in arrays {
        writer.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        writer.write_all(&npy("|u1", false, "(4,)", values)).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn idx(sizes: &[u32], bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    let head = [0, 0, 8, sizes.len() as u8].into_iter();
    head.chain(sizes.iter().flat_map(|size| size.to_be_bytes())).chain(bytes).collect()
}
