use lockstep_core::run::spec::{Data, Loss, TargetScale};

use super::{Folder, encode, gzip, scale, table};
use crate::{Features, Target, TargetUse, Targets};

/// The error of training on this text, with the target `y`.
fn wrong(text: impl AsRef<[u8]>) -> String {
    with_loss(text, Loss::CrossEntropy)
}

fn with_loss(text: impl AsRef<[u8]>, loss: Loss) -> String {
    Folder::new().with("a.csv", text).load(&table("a.csv", "y"), loss).unwrap_err()
}

#[test]
fn columns_are_standardised_and_labels_ordered() {
    let text = "\u{feff}a, y ,\"b\"\n1,10,0.5\n\n 3 ,9,0.5\r\n\"5\",10,0.5\n";
    let folder = Folder::new().with("a.csv", text);
    let prepared = folder.load(&table("a.csv", "y"), Loss::CrossEntropy).unwrap();
    let deviation = (8.0f64 / 3.0).sqrt();
    let of = |index| {
        let number = scale(&prepared.encoder, index);
        (number.center, number.divisor)
    };
    assert_eq!([of(0), of(1)], [(3.0, deviation), (0.5, 1.0)]);
    assert_eq!(prepared.encoder.labels(), Some(&["9".to_owned(), "10".to_owned()][..]));
    let z = (2.0 / deviation) as f32;
    assert_eq!(prepared.train.features(), &Features::F32(vec![-z, 0.0, 0.0, 0.0, z, 0.0]));
    assert_eq!(prepared.train.targets(), &Targets::Classes { count: 2, of: vec![1, 0, 1] });
    assert_eq!(prepared.train.shape().sample, [2]);
}

#[test]
fn numbers_stay_numbers_for_regression() {
    let folder = Folder::new().with("a.csv", "x,y\n1,2.5\n2,-1e3\n");
    let prepared = folder.load(&table("a.csv", "y"), Loss::MeanSquaredError).unwrap();
    assert_eq!(prepared.train.targets(), &Targets::Values { width: 1, of: vec![2.5, -1000.0] });
}

/// (t - mean) / deviation over the training rows; what is learnt goes back by the same numbers.
#[test]
fn numbers_may_be_scaled() {
    let folder = Folder::new().with("a.csv", "x,y\n1,2\n2,4\n3,6\n").with("b.csv", "x,y\n1,10\n");
    let data = Data { target_scale: TargetScale::Standardize, ..table("a.csv", "y") };
    let prepared = folder.load(&data, Loss::MeanSquaredError).unwrap();
    let deviation = (8.0f64 / 3.0).sqrt();
    assert_eq!(prepared.encoder.target, Target::Values { column: "y".into(), mean: 4.0, deviation });
    let learnt = |t: f64| ((t - 4.0) / deviation) as f32;
    let of = [2.0, 4.0, 6.0].map(learnt).to_vec();
    assert_eq!(prepared.train.targets(), &Targets::Values { width: 1, of });
    let new = encode(&prepared.encoder, &folder, "b.csv", TargetUse::Required).unwrap();
    assert_eq!(new.targets(), &Targets::Values { width: 1, of: vec![learnt(10.0)] });
    assert!((prepared.encoder.target.of_learnt(learnt(10.0)) - 10.0).abs() < 1e-6);
    // A constant one is only centred.
    let folder = Folder::new().with("a.csv", "x,y\n1,7\n2,7\n");
    let prepared = folder.load(&data, Loss::MeanSquaredError).unwrap();
    assert_eq!(prepared.train.targets(), &Targets::Values { width: 1, of: vec![0.0; 2] });
    assert_eq!(prepared.encoder.target.of_learnt(0.0), 7.0);
}

/// Plain, gzipped and in several gzip members; more rows than a block, so that rows are found in each.
#[test]
fn every_wrapping_gives_the_same_rows() {
    let mut text = String::from("x,y\n");
    for i in 0..10_000 {
        text.push_str(&format!("{}.5,{}\n", i * 7919 % 1009, i % 3));
    }
    let (a, b) = text.as_bytes().split_at(text.len() / 3);
    let folder = Folder::new()
        .with("a.csv", &text)
        .with("b.csv.gz", gzip(text.as_bytes()))
        .with("c.csv.gz", [gzip(a), gzip(b)].concat());
    let [a, b, c] = ["a.csv", "b.csv.gz", "c.csv.gz"]
        .map(|name| folder.load(&table(name, "y"), Loss::CrossEntropy).unwrap());
    assert_eq!((a.train.rows(), &a), (10_000, &b));
    assert_eq!(a, c);
    let Features::F32(z) = a.train.features() else { panic!() };
    let mean: f64 = z.iter().map(|z| f64::from(*z)).sum::<f64>() / 10_000.0;
    let square: f64 = z.iter().map(|z| f64::from(*z) * f64::from(*z)).sum::<f64>() / 10_000.0;
    assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-6, "{mean} {square}");
}

#[test]
fn raw_rows_are_encoded_by_column_name() {
    let folder = Folder::new()
        .with("train.csv", "a,y,b\n1,no,10\n2,yes,20\n3,no,60\n")
        .with("new.csv", "b,extra,a\n60,?,1\n60,?,1\n10,?,3\n")
        .with("less.csv", "A,c,y\n1,2,no\n")
        .with("odd.csv", "a,b,y\n1,2,maybe\n");
    let encoder = folder.load(&table("train.csv", "y"), Loss::Hinge).unwrap().encoder;
    let encode = |name, targets| {
        let prefix = format!("{}/", folder.path().display());
        encode(&encoder, &folder, name, targets).map_err(|error| error.to_string().replace(&prefix, ""))
    };
    let [a, b] = [0, 1].map(|index| scale(&encoder, index));
    let (first, last) = ([a.apply(1.0), b.apply(60.0)], [a.apply(3.0), b.apply(10.0)]);
    let table = encode("new.csv", TargetUse::Ignored).unwrap();
    assert_eq!(table.features(), &Features::F32([first, first, last].concat()));
    assert_eq!(table.targets(), &Targets::Absent);
    assert_eq!(
        encode("new.csv", TargetUse::Required).unwrap_err(),
        "new.csv, column \"y\": there is no such column; the file has b, extra, a"
    );
    assert_eq!(
        encode("less.csv", TargetUse::Required).unwrap_err(),
        "less.csv, column \"a\": there is no such column; did you mean \"A\"?"
    );
    assert_eq!(
        encode("odd.csv", TargetUse::Required).unwrap_err(),
        "odd.csv, line 2, column \"y\": found \"maybe\", expected one of the classes of the training rows: \
         no, yes"
    );
    assert_eq!(encode("odd.csv", TargetUse::Ignored).unwrap().rows(), 1);
}

#[test]
fn files_that_are_no_table() {
    let folder = Folder::new().with("digits.csv", "x,y\n").with("a.txt", "x,y").with("cut.csv.gz", {
        let mut bytes = gzip(b"x,y\n1,2\n3,4\n");
        bytes.truncate(15);
        bytes
    });
    let error = |name| folder.load(&table(name, "y"), Loss::CrossEntropy).unwrap_err();
    assert_eq!(error("digit.csv"), "digit.csv: no such file; did you mean \"digits.csv\"?");
    assert_eq!(error("elsewhere/x.csv"), "elsewhere/x.csv: no such file");
    assert_eq!(error("digits.csv"), "digits.csv: there is a header but no rows");
    assert_eq!(
        error("a.txt"),
        "a.txt: unknown format; expected .csv, .tsv, .jsonl (plain, .gz or .zst), .parquet, .arrow, .feather, \
         .npy, .npz, an IDX file, .png or .jpg, or data.format in the run file"
    );
    assert!(error("cut.csv.gz").starts_with("cut.csv.gz: the gzip stream is cut off or damaged: "));
    for empty in ["", "\n\n"] {
        assert_eq!(wrong(empty), "a.csv: the file is empty; expected a header and rows");
    }
}

#[test]
fn headers_that_are_wrong() {
    assert_eq!(wrong("x,Y,z\n1,2,3\n"), "a.csv, column \"y\": there is no such column; did you mean \"Y\"?");
    assert_eq!(
        wrong("x,label\n1,2\n"),
        "a.csv, column \"y\": there is no such column; the file has x, label"
    );
    assert_eq!(wrong("x,y,x\n1,2,3\n"), "a.csv, column \"x\": the header names this column twice");
    assert_eq!(
        wrong("x,,y\n1,2,3\n"),
        "a.csv: column 2 has no name; expected a header with a name for every column"
    );
    assert_eq!(wrong("y\n1\n2\n"), "a.csv: no feature columns; expected at least one beside the target");
    let data = lockstep_core::run::spec::Data { features: Some(vec!["wide".into()]), ..table("a.csv", "y") };
    assert_eq!(
        Folder::new().with("a.csv", "width,y\n1,2\n").load(&data, Loss::CrossEntropy).unwrap_err(),
        "a.csv, column \"wide\": there is no such column; did you mean \"width\"?"
    );
}

#[test]
fn rows_that_are_wrong() {
    assert_eq!(wrong("x,y\n1,a\n\n\n2,b,3\n"), "a.csv, line 5: found 3 fields, expected 2 as in the header");
    assert_eq!(wrong("x,y\n1,\"a\nb\"\n2\n"), "a.csv, line 4: found 1 fields, expected 2 as in the header");
    const MISSING: &str = "if it stands for a missing value, name it in data.missing_values";
    for text in ["nan", "inf", "-Infinity", "1e999"] {
        assert_eq!(
            wrong(format!("x,y\n1,a\n\n\"{text}\",b\n")),
            format!("a.csv, line 4, column \"x\": found {text:?}, expected a number; {MISSING}")
        );
    }
    for text in ["abc", "1,5", "0x10", "1 2"] {
        assert_eq!(
            wrong(format!("x,y\n1,a\n\n\"{text}\",b\n")),
            format!(
                "a.csv, line 4, column \"x\": found {text:?}, expected a number; if the column holds \
                 categories, say so in data.columns; {MISSING}"
            )
        );
    }
    assert_eq!(wrong("x,y\n1,a\n1,\n"), "a.csv, line 3, column \"y\": found an empty cell, expected a class");
    assert_eq!(wrong(b"x,y\n1,a\n\xff,b\n"), "a.csv, line 3: found bytes that are not UTF-8; expected text");
    let long = "9x".repeat(50);
    assert_eq!(
        wrong(format!("x,y\n1,a\n{long},b\n")),
        format!(
            "a.csv, line 3, column \"x\": found \"{}…\", expected a number; if the column holds \
             categories, say so in data.columns; {MISSING}",
            &long[..40]
        )
    );
    // Beyond the first block.
    let rows: String = (0..9000).map(|i| format!("{i},{}\n", i % 2)).collect();
    let error = wrong(format!("x,y\n{rows}oops,1\n"));
    assert!(error.starts_with("a.csv, line 9002, column \"x\": found \"oops\", expected a number; "));
}

#[test]
fn targets_that_are_wrong() {
    assert_eq!(
        wrong("x,y\n1,a\n2,a\n"),
        "a.csv, column \"y\": every training row has the class \"a\", expected two classes or more"
    );
    for (loss, name) in [
        (Loss::BinaryCrossEntropy, "binary_cross_entropy"),
        (Loss::Perceptron, "perceptron"),
        (Loss::Hinge, "hinge"),
    ] {
        assert_eq!(
            with_loss("x,y\n1,a\n2,b\n3,c\n", loss),
            format!("a.csv, column \"y\": found 3 classes (a, b, c), expected exactly 2 for the loss {name}")
        );
    }
    let many: String = (0..14).map(|i| format!("1,{i}\n")).collect();
    assert_eq!(
        with_loss(format!("x,y\n{many}"), Loss::Hinge),
        "a.csv, column \"y\": found 14 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more), expected \
         exactly 2 for the loss hinge"
    );
    for loss in [Loss::MeanSquaredError, Loss::MeanAbsoluteError, Loss::Huber { delta: 1.0 }] {
        let error = with_loss("x,y\n1,2\n2,cat\n", loss);
        assert!(error.starts_with("a.csv, line 3, column \"y\": found \"cat\", expected a number"));
    }
    // Finite in f64, not in f32.
    assert_eq!(
        with_loss("x,y\n1,2\n2,1e39\n", Loss::MeanSquaredError),
        "a.csv, line 3, column \"y\": found \"1e39\", expected a number"
    );
    assert_eq!(
        with_loss("x,y\n1e308,2\n-1e308,3\n", Loss::MeanSquaredError),
        "a.csv, column \"x\": its values are too large to standardise"
    );
}
