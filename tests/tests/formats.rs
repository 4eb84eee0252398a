//! The same rows in several formats, on clusters of several sizes: one digest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::FileWriter;
use lockstep_data::Skipped;
use lockstep_tests::cluster::Site;
use lockstep_tests::rows::run;
use parquet::arrow::ArrowWriter;

type Files = Vec<(&'static str, Vec<u8>)>;

struct Row {
    a: i64,
    b: Option<f64>,
    colour: &'static str,
    label: i64,
}

fn rows() -> Vec<Row> {
    let row = |i: i64| Row {
        a: i * 7919 % 101,
        b: (i % 11 != 3).then_some(i as f64 / 8.0),
        colour: ["red", "green", "deep blue"][i as usize * 31 % 7 % 3],
        label: i % 3,
    };
    (0..500).map(row).collect()
}

fn text(delimiter: &str) -> String {
    let line = |row: &Row| {
        let b = row.b.map(|b| b.to_string()).unwrap_or_default();
        [row.a.to_string(), b, row.colour.into(), row.label.to_string()].join(delimiter) + "\n"
    };
    ["a", "b", "colour", "label"].join(delimiter) + "\n" + &rows().iter().map(line).collect::<String>()
}

fn json() -> String {
    let line = |row: &Row| {
        serde_json::json!({ "a": row.a, "b": row.b, "colour": row.colour, "label": row.label }).to_string()
            + "\n"
    };
    rows().iter().map(line).collect()
}

fn batch() -> RecordBatch {
    let rows = rows();
    let columns: [(&str, ArrayRef); 4] = [
        ("a", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.a)))),
        ("b", Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.b)))),
        ("colour", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.colour)))),
        ("label", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.label)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn one_digest_for_every_format_and_cluster() {
    let batch = batch();
    let mut parquet = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut parquet, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let arrow = writer.into_inner().unwrap();
    let csv = text(",");
    let half = csv.match_indices('\n').nth(250).unwrap().0 + 1;
    let (head, tail) = csv.split_at(half);
    let tail = format!("{}{tail}", csv.split_inclusive('\n').next().unwrap());
    let cases: [(&str, &str, Files); 6] = [
        ("rows.csv", "1", vec![("rows.csv", csv.clone().into())]),
        ("rows.tsv", "2", vec![("rows.tsv", text("\t").into())]),
        ("rows.jsonl", "3", vec![("rows.jsonl", json().into())]),
        ("rows.parquet", "2", vec![("rows.parquet", parquet)]),
        ("rows.arrow", "4", vec![("rows.arrow", arrow)]),
        ("part-{1..2}.csv", "2", vec![("part-1.csv", head.into()), ("part-2.csv", tail.into())]),
    ];
    let mut digest = None;
    for (train, workers, files) in cases {
        let site = Site::new(&run(train, "label", "validation = 0.2"));
        files.iter().for_each(|(name, bytes)| site.write(name, bytes));
        let (status, process) = site.trained(&["--workers", workers]);
        assert!(status.success(), "{train}: {}\n{}", process.errors(), site.logs());
        let found = site.results().digest;
        assert_eq!(*digest.get_or_insert(found), found, "{train}");
    }
}

/// Skipped rows are the same on every cluster, are counted, and are as if they had never been there but
/// for the numbers of the rows after them.
#[test]
fn bad_rows_are_skipped_alike() {
    let skip = run("rows.csv", "label", "on_bad_row = \"skip\"");
    let bad = text(",") + "torn\n1,none,red,0\n";
    let digest = |text: &str, workers: &str| {
        let site = Site::new(&skip);
        site.write("rows.csv", text);
        let (status, process) = site.trained(&["--workers", workers]);
        assert!(status.success(), "{}", process.errors());
        let skipped = if process.errors().contains("left out") { 2 } else { 0 };
        assert_eq!(site.results().rows_skipped, Skipped { train: skipped, validation: 0 });
        (
            site.results().digest,
            process.errors().contains("left out bad rows: 2 to train on, 0 to validate on"),
        )
    };
    let (expected, said) = digest(&text(","), "2");
    assert!(!said);
    assert_eq!(digest(&bad, "1"), (expected, true));
    assert_eq!(digest(&bad, "3"), (expected, true));
    let site = Site::new(&run("rows.csv", "label", ""));
    site.write("rows.csv", &bad);
    let (status, process) = site.trained(&[]);
    assert_eq!(status.code(), Some(78));
    assert!(
        process.errors().contains("rows.csv, line 502: found 1 fields, expected 4"),
        "{}",
        process.errors()
    );
}
