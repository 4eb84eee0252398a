//! `lockstep predict`: raw rows in, labels or numbers out.

#![allow(clippy::unwrap_used, reason = "this is all test")]

mod common;

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use common::{Trained, column, example, records, refused, stdout};

#[test]
fn columns_come_in_any_order_and_without_a_target() {
    let run = Trained::example("digits.toml", &["train.epochs=1"]);
    let data = std::fs::read_to_string(example("digits-test.csv")).unwrap();
    let expected = stdout(&["predict", &run.path(), &example("digits-test.csv"), "--out", "-"]);
    let lines = records(&expected);
    assert_eq!((lines.len(), lines[0].len()), (361, 11));
    let shares: f64 = lines[7][1..].iter().map(|share| share.parse::<f64>().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-6);

    // Backwards, without the label, with a column that nobody knows.
    let backwards = |line: Vec<String>| {
        let cells: Vec<String> = line.into_iter().rev().skip(1).collect();
        cells.join(",")
    };
    let rows: Vec<String> = records(&data).into_iter().map(backwards).collect();
    let other = rows.iter().map(|row| format!("x{row},{row}\n")).collect::<String>();
    let header = other.lines().next().unwrap().to_owned();
    let renamed: Vec<String> = header
        .split(',')
        .enumerate()
        .map(|(i, name)| if i < 64 { format!("u{i}") } else { name.into() })
        .collect();
    let other = run.write("other.csv", other.replacen(&header, &renamed.join(","), 1));
    let out = run.file("out.csv");
    assert_eq!(stdout(&["predict", &run.path(), &other, "--out", &out]), "");
    assert_eq!(std::fs::read_to_string(out).unwrap(), expected);

    let missing = run.write("missing.csv", data.replacen("pixel_0_0", "pixel_9_9", 1));
    let out = run.file("none.csv");
    let error = refused(&["predict", &run.path(), &missing, "--out", &out]);
    assert!(error.contains("column \"pixel_0_0\": there is no such column"), "{error}");
    assert!(!std::path::Path::new(&out).exists());
    assert_eq!(common::lockstep(&["predict", &run.path(), &missing]).0, 2);
}

#[test]
fn two_classes_by_their_names() {
    let data = example("breast-cancer-test.csv");
    let sets = ["model.loss=binary_cross_entropy", "train.epochs=2"];
    let run = Trained::example("perceptron.toml", &sets);
    let lines = records(&stdout(&["predict", &run.path(), &data, "--out", "-"]));
    assert_eq!(lines[0], ["prediction", "probability_benign", "probability_malignant"]);
    for line in &lines[1..] {
        let [benign, malignant] = [1, 2].map(|i| line[i].parse::<f64>().unwrap());
        assert!((benign + malignant - 1.0).abs() < 1e-6);
        assert_eq!(line[0], if malignant > 0.5 { "malignant" } else { "benign" });
    }
    let run = Trained::example("perceptron.toml", &["train.epochs=2"]);
    let lines = records(&stdout(&["predict", &run.path(), &data, "--out", "-"]));
    assert_eq!(lines[0], ["prediction"]);
    let truth = column(&records(&std::fs::read_to_string(&data).unwrap()), "diagnosis");
    let hits =
        column(&lines, "prediction").iter().zip(&truth).filter(|(found, truth)| found == truth).count();
    assert_eq!(hits as u64, run.sums.correct);
}

/// A file of unsigned bytes, as MNIST's.
fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let header = [0, 0, 8, sizes.len() as u8];
    header
        .into_iter()
        .chain(sizes.iter().flat_map(|size| size.to_be_bytes()))
        .chain(bytes.iter().copied())
        .collect()
}

#[test]
fn images_with_and_without_labels() {
    let folder = tempfile::tempdir().unwrap();
    let labels: Vec<u8> = (0..60).map(|i| i % 3).collect();
    let images: Vec<u8> = labels
        .iter()
        .flat_map(|label| (0..4).map(move |pixel| if pixel == *label { 250 } else { pixel * 9 }))
        .collect();
    let [x, y] = ["x.idx", "y.idx"].map(|name| folder.path().join(name).display().to_string());
    std::fs::write(&x, idx(&[60, 2, 2], &images)).unwrap();
    std::fs::write(&y, idx(&[60], &labels)).unwrap();
    let text = r#"
        data = { train = { images = "x.idx", labels = "y.idx" } }
        model = { loss = "cross_entropy", layers = ["flatten", { linear = 3 }] }
        train = { epochs = 30, batch_size = 12, optimizer = { adam = { lr = 0.05 } } }
    "#;
    let run = Trained::new(text, &[], folder.path());
    let pair = format!("{x},{y}");
    assert_eq!(common::json(&["evaluate", &run.path(), &pair])["accuracy"], 1.0);
    let alone = stdout(&["predict", &run.path(), &x, "--out", "-"]);
    assert_eq!(alone, stdout(&["predict", &run.path(), &pair, "--out", "-"]));
    let found = column(&records(&alone), "prediction");
    assert_eq!(found, labels.iter().map(ToString::to_string).collect::<Vec<_>>());
}

/// Columns of a Parquet file as the CSV has them.
fn parquet_records(path: &str) -> Vec<Vec<String>> {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
    let file = std::fs::File::open(path).unwrap();
    let mut lines = Vec::new();
    for batch in ParquetRecordBatchReader::try_new(file, 1000).unwrap() {
        let batch = batch.unwrap();
        if lines.is_empty() {
            lines.push(batch.schema().fields().iter().map(|field| field.name().clone()).collect());
        }
        for row in 0..batch.num_rows() {
            let cell = |column: &arrow_array::ArrayRef| match column.as_string_opt::<i32>() {
                Some(labels) => labels.value(row).to_owned(),
                None => format!("{:?}", column.as_primitive::<Float32Type>().value(row)),
            };
            lines.push(batch.columns().iter().map(cell).collect());
        }
    }
    lines
}

#[test]
fn parquet_says_what_csv_says() {
    let digits = Trained::example("digits.toml", &["train.epochs=1"]);
    let number = Trained::example("digits.toml", &NUMBER);
    for (run, columns) in [(&digits, 11), (&number, 1)] {
        let data = example("digits-test.csv");
        let csv = records(&stdout(&["predict", &run.path(), &data, "--out", "-"]));
        let out = run.file("out.Parquet");
        assert_eq!(stdout(&["predict", &run.path(), &data, "--out", &out]), "");
        let found = parquet_records(&out);
        assert_eq!((found.len(), found[0].len()), (361, columns));
        assert!(found == csv);
    }
}

/// The digit as a number instead of a class.
const NUMBER: [&str; 3] =
    ["train.epochs=1", "model.loss=mean_squared_error", "model.layers=[{ linear = 1 }]"];
