//! The same rows in every format are the same table.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, FixedSizeBinaryArray, Float64Array, Int32Array, RecordBatch,
    StringArray, UInt8Array,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use lockstep_core::run::spec::{Column, Data, Format, Loss, Reading};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{Folder, Prepared, gzip, table};

const ROWS: i32 = 9001;

fn numbers() -> Vec<(i32, f64, u8)> {
    (0..ROWS).map(|i| (i * 7919 % 1009 - 500, f64::from(i % 97) / 8.0 - 3.0, (i % 3) as u8)).collect()
}

fn text(delimiter: char) -> String {
    let rows = numbers();
    let lines = rows.iter().map(|(a, b, y)| format!("{a}{delimiter}{b}{delimiter}{y}\n"));
    format!("column_1{delimiter}column_2{delimiter}column_3\n") + &lines.collect::<String>()
}

fn batch() -> RecordBatch {
    let rows = numbers();
    let columns: [(&str, ArrayRef); 3] = [
        ("column_1", Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.0)))),
        ("column_2", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1)))),
        ("column_3", Arc::new(UInt8Array::from_iter_values(rows.iter().map(|row| row.2)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn parquet(batch: &RecordBatch, compression: Compression, group: usize) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(group))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn arrow_file(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    // Two batches, cut where no block would be.
    writer.write(&batch.slice(0, batch.num_rows() / 3)).unwrap();
    writer.write(&batch.slice(batch.num_rows() / 3, batch.num_rows() - batch.num_rows() / 3)).unwrap();
    writer.into_inner().unwrap()
}

fn arrow_stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        writer.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn load(folder: &Folder, name: &str) -> Prepared {
    folder.load(&table(name, "column_3"), Loss::CrossEntropy).unwrap()
}

#[test]
fn every_format_gives_the_same_table() {
    let (csv, batch, rows) = (text(','), batch(), numbers());
    let matrix = |order: fn(f64) -> [u8; 8]| {
        rows.iter()
            .flat_map(|(a, b, y)| [f64::from(*a), *b, f64::from(*y)])
            .flat_map(order)
            .collect::<Vec<_>>()
    };
    let columns = [
        rows.iter().map(|row| f64::from(row.0)).collect::<Vec<_>>(),
        rows.iter().map(|row| row.1).collect(),
        rows.iter().map(|row| f64::from(row.2)).collect(),
    ];
    let transposed: Vec<u8> = columns.concat().iter().flat_map(|x| x.to_le_bytes()).collect();
    let objects = rows
        .iter()
        .map(|(a, b, y)| format!("{{\"column_2\": {b:?}, \"column_1\": {a}, \"column_3\": {y}}}\n"));
    let objects = format!("{}\n", objects.collect::<String>());
    let shape = format!("({ROWS}, 3)");
    let one = format!("({ROWS},)");
    let brotli = Compression::BROTLI(BrotliLevel::default());
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("a.csv.gz", gzip(csv.as_bytes())),
        ("a.csv.zst", zstd::encode_all(csv.as_bytes(), 3).unwrap()),
        ("a.tsv", text('\t').into_bytes()),
        (
            "a.jsonl",
            objects
                .replacen(
                    "{\"column_2\": -3.0, \"column_1\": -500",
                    "{\"column_1\": -500, \"column_2\": -3.0",
                    1,
                )
                .into_bytes(),
        ),
        ("a.parquet", parquet(&batch, Compression::SNAPPY, 5000)),
        ("b.parquet", parquet(&batch, Compression::ZSTD(ZstdLevel::default()), 100_000)),
        ("c.parquet.brotli", parquet(&batch, brotli, 700)),
        ("d.parquet", parquet(&batch, Compression::LZ4_RAW, 4096)),
        ("e.parquet", parquet(&batch, Compression::GZIP(Default::default()), 4096)),
        ("a.arrow", arrow_file(&batch)),
        ("a.arrows", arrow_stream(&batch)),
        ("a.npy", npy("<f8", false, &shape, &matrix(f64::to_le_bytes))),
        ("b.npy", npy(">f8", false, &shape, &matrix(f64::to_be_bytes))),
        ("c.npy", npy("<f8", true, &shape, &transposed)),
        (
            "a.npz",
            npz(&[
                (
                    "column_1",
                    npy(
                        "<i4",
                        false,
                        &one,
                        &rows.iter().flat_map(|row| row.0.to_le_bytes()).collect::<Vec<_>>(),
                    ),
                ),
                (
                    "column_2",
                    npy(
                        "<f8",
                        false,
                        &one,
                        &rows.iter().flat_map(|row| row.1.to_le_bytes()).collect::<Vec<_>>(),
                    ),
                ),
                ("column_3", npy("|u1", false, &one, &rows.iter().map(|row| row.2).collect::<Vec<_>>())),
            ]),
        ),
    ];
    let mut folder = Folder::new().with("a.csv", &csv);
    let expected = load(&folder, "a.csv");
    assert_eq!(expected.train.rows(), ROWS as u64);
    for (name, bytes) in files {
        folder = folder.with(name, bytes);
        assert!(load(&folder, name) == expected, "{name}");
    }
    // Without a header the names are the same; and a format may be named where the extension says nothing.
    let body = csv.split_once('\n').unwrap().1;
    folder = folder.with("bare.txt", body);
    let reading = Reading { format: Some(Format::Csv), header: false, ..Reading::default() };
    let data = Data { reading, ..table("bare.txt", "column_3") };
    assert!(folder.load(&data, Loss::CrossEntropy).unwrap() == expected);
}

#[test]
fn several_files_are_one_table() {
    let (csv, batch) = (text(','), batch());
    let expected = load(&Folder::new().with("a.csv", &csv), "a.csv");
    let (head, body) = csv.split_once('\n').unwrap();
    let cut = body.match_indices('\n').nth(2999).unwrap().0 + 1;
    let reordered = batch.slice(3000, ROWS as usize - 3000).project(&[2, 0, 1]).unwrap();
    let folder = Folder::new()
        .with("part-1.csv", format!("{head}\n{}", &body[..cut]))
        .with("part-2.parquet", parquet(&reordered, Compression::SNAPPY, 2500))
        .with("_notes.csv", "nothing");
    for pattern in ["", "part-*", "part-{1.csv,2.parquet}"] {
        assert!(load(&folder, pattern) == expected, "{pattern}");
    }
    let error =
        |folder: &Folder, pattern| folder.load(&table(pattern, "column_3"), Loss::CrossEntropy).unwrap_err();
    let folder = folder.with("part-3.csv", "column_1,column_3\n1,2\n");
    assert_eq!(
        error(&folder, "part-*"),
        "part-3.csv, column \"column_2\": there is no such column, but part-1.csv has it"
    );
    assert_eq!(error(&folder, "trap-*"), "trap-*: no files there");
    assert_eq!(error(&folder, "part-{8..9}.csv"), "part-8.csv: no such file; did you mean \"part-1.csv\"?");
    // Lines are those of the file.
    let folder =
        Folder::new().with("a-1.csv", "x,column_3\n1,0\n").with("a-2.csv", "x,column_3\n1,0\n2,1\no,1\n");
    assert!(error(&folder, "a-*").starts_with("a-2.csv, line 4, column \"x\": found \"o\""));
}

/// Text, numbers, dates, truth and what is missing of each.
#[test]
fn types_and_missing_values() {
    let csv = "n,c,d,b,y\n1.5,red,2024-02-29,true,no\n,,,,yes\n-2,blue,1999-12-31,false,no\n4,red,2000-01-01,true,yes\n";
    let json = "{\"n\":1.5,\"c\":\"red\",\"d\":\"2024-02-29\",\"b\":true,\"y\":\"no\"}\n{\"y\":\"yes\",\"c\":null,\"d\":null,\"b\":null}\n\
                {\"n\":-2,\"c\":\"bl\\u0075e\",\"d\":\"1999-12-31\",\"b\":false,\"y\":\"no\"}\n{\"n\":4.0,\"c\":\"red\",\"d\":\"2000-01-01\",\"b\":true,\"y\":\"yes\"}\n";
    let columns: [(&str, ArrayRef); 5] = [
        ("n", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(-2.0), Some(4.0)]))),
        ("c", Arc::new(StringArray::from(vec![Some("red"), None, Some("blue"), Some("red")]))),
        ("d", Arc::new(Date32Array::from(vec![Some(19_782), None, Some(10_956), Some(10_957)]))),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]))),
        ("y", Arc::new(StringArray::from(vec!["no", "yes", "no", "yes"]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let folder = Folder::new()
        .with("a.csv", csv)
        .with("a.jsonl", json)
        .with("a.parquet", parquet(&batch, Compression::SNAPPY, 3))
        .with("a.arrow", arrow_file(&batch));
    let load = |name| folder.load(&table(name, "y"), Loss::CrossEntropy).unwrap();
    let expected = load("a.csv");
    // One number, three colours (one of them none) and others, elapsed, year and week, one truth.
    assert_eq!(expected.encoder.sample(), [1 + 4 + 5 + 1]);
    for name in ["a.jsonl", "a.parquet", "a.arrow"] {
        assert_eq!(load(name), expected, "{name}");
    }
}

#[test]
fn files_that_are_damaged() {
    let batch = batch();
    let mut cut = parquet(&batch, Compression::SNAPPY, 5000);
    cut.truncate(cut.len() / 2);
    let mut arrow = arrow_file(&batch);
    arrow.truncate(500);
    let folder = Folder::new()
        .with("a.parquet", cut)
        .with("a.arrow", arrow)
        .with("a.npy", npy("<f8", false, "(9, 3)", &[0; 100]))
        .with("o.npy", npy("|O", false, "(1,)", &[0; 8]))
        .with("t.npy", npy("<f4", false, "(1, 1, 1, 1)", &[0; 4]))
        .with("a.npz", "PK\x03\x04")
        .with(
            "b.npz",
            npz(&[("x", npy("|u1", false, "(3,)", &[1, 2, 3])), ("y", npy("|u1", false, "(2,)", &[1, 2]))]),
        )
        .with("a.csv.zst", [0x28, 0xb5, 0x2f, 0xfd, 0, 0])
        .with("a.jsonl", "{\"x\": 1, \"y\": 2}\n\n[3]\n");
    let error = |name| folder.load(&table(name, "y"), Loss::CrossEntropy).unwrap_err();
    assert!(error("a.parquet").starts_with("a.parquet: this is not a Parquet file, or it is damaged: "));
    assert!(error("a.arrow").starts_with("a.arrow: this is not an Arrow file, or it is damaged: "));
    const NPY: &str = "this is not an NPY array that can be read here, or it is damaged";
    assert_eq!(
        error("a.npy"),
        format!("a.npy: {NPY}: found 100 bytes of data, its shape [9, 3] needs others")
    );
    assert!(error("o.npy").starts_with(&format!("o.npy: {NPY}: found elements of type '|O'")));
    assert!(error("t.npy").contains("found the shape [1, 1, 1, 1], expected [rows]"));
    assert!(error("a.npz").starts_with("a.npz: this is not an NPZ archive, or it is damaged: "));
    assert!(error("b.npz").contains("column \"y\": ") && error("b.npz").contains("found 2 rows, but 3"));
    assert!(error("a.csv.zst").starts_with("a.csv.zst: the zstd stream is cut off or damaged: "));
    assert!(error("a.jsonl").starts_with("a.jsonl, line 3: this is not a JSON object: "));
}

/// The size that packed bytes announce would end the process if room for it were asked for.
#[test]
fn announced_sizes_that_lie() {
    let batch = batch();
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    let mut bytes = writer.into_inner().unwrap();
    // The integers of the first column take four bytes each.
    let size = (4 * ROWS as i64).to_le_bytes();
    let at = bytes.windows(8).position(|eight| eight == size).unwrap();
    let good = Folder::new().with("a.arrow", &bytes);
    assert_eq!(load(&good, "a.arrow").train.rows(), ROWS as u64);
    bytes[at..at + 8].copy_from_slice(&(1i64 << 49).to_le_bytes());
    let folder = Folder::new().with("a.arrow", &bytes);
    let error = folder.load(&table("a.arrow", "column_3"), Loss::CrossEntropy).unwrap_err();
    assert!(error.ends_with("packed bytes announce 562949953421312"), "{error}");
}

/// Only the columns that are asked for are read, so others may be of any type.
#[test]
fn columns_of_no_use() {
    let lists = arrow_array::builder::ListBuilder::new(arrow_array::builder::Int32Builder::new());
    let mut lists = lists;
    (0..2).for_each(|_| lists.append(true));
    let columns: [(&str, ArrayRef); 3] = [
        ("x", Arc::new(Int32Array::from(vec![1, 2]))),
        ("l", Arc::new(lists.finish())),
        ("y", Arc::new(Int32Array::from(vec![1, 2]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let bytes: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([b"ab", b"cd"].iter()).unwrap());
    let keys = RecordBatch::try_from_iter([("k", bytes), ("y", batch.column(2).clone())]).unwrap();
    let folder = Folder::new()
        .with("keys.parquet", parquet(&keys, Compression::SNAPPY, 9))
        .with("keys.arrow", arrow_file(&keys));
    for name in ["keys.parquet", "keys.arrow"] {
        let error = folder.load(&table(name, "y"), Loss::CrossEntropy).unwrap_err();
        assert!(
            error.starts_with(&format!("{name}, column \"k\": found values of type FixedSizeBinary")),
            "{error}"
        );
    }
    let folder =
        folder.with("a.parquet", parquet(&batch, Compression::SNAPPY, 9)).with("a.arrow", arrow_file(&batch));
    for name in ["a.parquet", "a.arrow"] {
        let error = folder.load(&table(name, "y"), Loss::CrossEntropy).unwrap_err();
        assert!(error.starts_with(&format!("{name}, column \"l\": found values of type List")), "{error}");
        let ignore = [("l".to_owned(), Column::Ignore)].into();
        let data = Data { columns: ignore, ..table(name, "y") };
        assert_eq!(folder.load(&data, Loss::CrossEntropy).unwrap().train.rows(), 2);
    }
}
