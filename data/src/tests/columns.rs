//! Columns become numbers.

use lockstep_core::ops::embedding::Embedding;
use lockstep_core::run::spec::{Column, Data, Fill, Loss, OnBadRow, Part, Reading, Scale, Validation};

use super::{Folder, Prepared, encode, file, table};
use crate::{Code, Encoder, Features, Inputs, Skipped, TargetUse};

fn load(text: &str, columns: &[(&str, Column)]) -> Result<Prepared, String> {
    let columns = columns.iter().map(|(name, column)| ((*name).to_owned(), column.clone())).collect();
    let data = Data { columns, ..table("a.csv", "y") };
    Folder::new().with("a.csv", text).load(&data, Loss::MeanSquaredError)
}

fn x(prepared: &Prepared) -> Vec<f32> {
    let Features::F32(x) = prepared.train.features() else { panic!() };
    x.clone()
}

fn numeric(scale: Scale, missing: Fill, indicator: bool) -> Column {
    Column::Numeric { scale, missing, indicator }
}

#[test]
fn numbers_are_scaled_and_filled() {
    let text = "a,y\n0,1\n,2\n6,3\n3,4\n";
    let of =
        |scale, missing, indicator| x(&load(text, &[("a", numeric(scale, missing, indicator))]).unwrap());
    assert_eq!(of(Scale::None, Fill::Mean, false), [0.0, 3.0, 6.0, 3.0]);
    assert_eq!(of(Scale::None, Fill::Constant(-1.0), true), [0.0, 0.0, -1.0, 1.0, 6.0, 0.0, 3.0, 0.0]);
    assert_eq!(of(Scale::MinMax, Fill::Median, false), [0.0, 0.5, 1.0, 0.5]);
    let deviation = 6.0f64.sqrt();
    let z = |x: f64| ((x - 3.0) / deviation) as f32;
    assert_eq!(of(Scale::Standardize, Fill::Mean, false), [z(0.0), 0.0, z(6.0), 0.0]);
    let logs = [0.0, libm::log(7.0), libm::log(4.0)];
    let mean = logs.iter().sum::<f64>() / 3.0;
    let deviation = (logs.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 3.0).sqrt();
    for (found, x) in
        of(Scale::Log, Fill::Constant(0.0), false).iter().zip([logs[0], logs[0], logs[1], logs[2]])
    {
        assert!((f64::from(*found) - (x - mean) / deviation).abs() < 1e-6);
    }
    // A missing value is filled unless it is not to be.
    assert_eq!(x(&load(text, &[]).unwrap())[1], 0.0);
    assert_eq!(
        load(text, &[("a", numeric(Scale::None, Fill::Stop, false))]).unwrap_err(),
        "a.csv, line 3, column \"a\": found an empty cell, expected a number"
    );
    assert!(load("a,y\n1e300,1\n", &[("a", numeric(Scale::None, Fill::Mean, false))]).is_err());
}

#[test]
fn categories_have_places() {
    let text = "a,y\nred,1\nblue,2\nred,3\n,4\ngreen,5\n";
    let prepared = load(text, &[]).unwrap();
    // none, blue, green, red, others
    let one = |place: usize| (0..5).map(move |i| f32::from(u8::from(i == place)));
    assert_eq!(x(&prepared), [3, 1, 3, 0, 2].into_iter().flat_map(one).collect::<Vec<_>>());
    let folder = Folder::new().with("new.csv", "a\nyellow\nblue\n");
    let new = encode(&prepared.encoder, &folder, "new.csv", TargetUse::Ignored).unwrap();
    assert_eq!(new.features(), &Features::F32([4, 1].into_iter().flat_map(one).collect()));
    // The most frequent ones; of equals, the first. Whole numbers in their order.
    let values = |text: &str, most| {
        let prepared = load(text, &[("a", Column::Categorical { most, embedding: None })]).unwrap();
        let Inputs::Columns(features) = prepared.encoder.inputs else { panic!() };
        let Code::Category { values } = &features[0].code else { panic!() };
        values.join(" ")
    };
    assert_eq!(values(text, 2), " red");
    assert_eq!(values("a,y\n10,1\n9,1\n10,1\n8,1\n", 2), "8 10");
}

/// An index in the places' order, and the last one for values that the training rows do not have.
#[test]
fn categories_may_be_indices() {
    let text = "a,b,y\nred,1,1\nblue,2,2\nred,3,3\n,3,4\ngreen,3,5\n";
    let embedding = |most| Column::Categorical { most, embedding: Some(7) };
    let prepared = load(text, &[("b", embedding(2)), ("a", embedding(100))]).unwrap();
    assert_eq!(x(&prepared), [3.0, 0.0, 1.0, 2.0, 3.0, 1.0, 0.0, 1.0, 2.0, 1.0]);
    let of = |name: &str, place, values| Embedding { name: name.into(), place, values, width: 7 };
    let expected = [of("a", 0, 5), of("b", 1, 3)];
    assert_eq!(prepared.encoder.embeddings(), expected);
    assert_eq!(prepared.train.shape().embeddings, expected);
    let folder = Folder::new().with("new.csv", "b,a\n2,yellow\n1,\n");
    let new = encode(&prepared.encoder, &folder, "new.csv", TargetUse::Ignored).unwrap();
    assert_eq!(new.features(), &Features::F32(vec![4.0, 2.0, 0.0, 0.0]));
    assert_eq!(Encoder::from_json(&prepared.encoder.to_json()), Ok(prepared.encoder));
}

#[test]
fn truth_and_time() {
    let prepared =
        load("a,t,y\nTrue,2024-01-01 06:00,1\nfalse,2024-01-02 06:00,2\n,,3\nTRUE,2024-01-03 06:00,4\n", &[])
            .unwrap();
    let x = x(&prepared);
    // truth, elapsed, year, week, day
    let rows: Vec<&[f32]> = x.chunks(8).collect();
    assert_eq!([rows[0][0], rows[1][0], rows[2][0]], [1.0, 0.0, (2.0f64 / 3.0) as f32]);
    assert_eq!((rows[1][1], rows[2][1]), (0.0, 0.0));
    assert_eq!(rows[2][1..], [0.0; 7]);
    assert_eq!(rows[0][6..], rows[3][6..]);
    assert!((rows[0][6] - 1.0).abs() < 1e-7 && rows[0][7].abs() < 1e-7);
    let day = Column::DateTime { parts: Some(vec![Part::Day]), format: Some("%H.%M".into()) };
    assert!(load("a,y\n12.30,1\n", &[("a", day)]).unwrap_err().contains("found \"12.30\", expected a date"));
    let bad = Column::DateTime { parts: None, format: Some("%Q".into()) };
    assert!(
        load("a,y\n1,1\n", &[("a", bad)])
            .unwrap_err()
            .starts_with("a.csv, column \"a\": found the format \"%Q\"")
    );
    assert_eq!(
        load("a,y\nmaybe,1\n", &[("a", Column::Boolean)]).unwrap_err(),
        "a.csv, line 2, column \"a\": found \"maybe\", expected true or false (or yes, no, 1, 0)"
    );
}

#[test]
fn what_the_run_file_says_of_columns() {
    let text = "a,b,y\n1,2,3\n4,5,6\n";
    assert_eq!(load(text, &[("b", Column::Ignore)]).unwrap().encoder.sample(), [1]);
    assert!(
        load(text, &[("c", Column::Ignore)]).unwrap_err().contains("column \"c\": there is no such column")
    );
    assert!(
        load(text, &[("a", Column::Ignore), ("b", Column::Ignore)])
            .unwrap_err()
            .contains("no feature columns")
    );
    let data = Data {
        features: Some(vec!["a".into()]),
        columns: [("b".to_owned(), Column::Boolean)].into(),
        ..table("a.csv", "y")
    };
    let error = Folder::new().with("a.csv", text).load(&data, Loss::MeanSquaredError).unwrap_err();
    assert_eq!(error, "a.csv, column \"b\": data.columns names it, but it is not among data.features");
}

/// Values that stand for missing ones, alike whether they are text or numbers.
#[test]
fn missing_values_by_name() {
    let text = "a,c,y\n1,?,1\nNaN,x,2\n-999,z,3\n3,x,4\n";
    let missing = ["?", "NaN", "-999"].map(String::from).to_vec();
    let data =
        Data { reading: Reading { missing_values: missing, ..Reading::default() }, ..table("a.csv", "y") };
    let prepared = Folder::new().with("a.csv", text).load(&data, Loss::MeanSquaredError).unwrap();
    let Features::F32(x) = prepared.train.features() else { panic!() };
    assert_eq!([x[5], x[10]], [0.0, 0.0]);
    assert_eq!(x[1], 1.0);
}

/// Bad rows count nowhere, whichever of their cells is bad.
#[test]
fn bad_rows_are_left_out() {
    let good = "a,b,y\n1,5,0\n2,6,1\n3,7,0\n4,8,1\n";
    let bad = "a,b,y\n1,5,0\n2,6,1\n100,oops,1\n7\n3,7,0\n9,9,\n4,8,1\n\"x\ny\",1,1\n";
    let data = |name: &str| Data { on_bad_row: OnBadRow::Skip, ..table(name, "y") };
    let folder = Folder::new().with("good.csv", good).with("bad.csv", bad);
    let expected = folder.load(&data("good.csv"), Loss::MeanSquaredError).unwrap();
    let found = folder.load(&data("bad.csv"), Loss::MeanSquaredError).unwrap();
    assert_eq!((&found.train, &found.encoder), (&expected.train, &expected.encoder));
    assert_eq!((expected.skipped, found.skipped), (Skipped::default(), Skipped { train: 4, validation: 0 }));
    let stop = folder.load(&table("bad.csv", "y"), Loss::MeanSquaredError).unwrap_err();
    assert_eq!(stop, "bad.csv, line 5: found 1 fields, expected 3 as in the header");

    let validated = Data { validation: Validation::Source(file("v.csv")), ..data("good.csv") };
    let folder = folder.with("v.csv", "a,b,y\n1,2,3\n1,2,three\n").with("none.csv", "a,b,y\nx,1,1\n");
    let found = folder.load(&validated, Loss::MeanSquaredError).unwrap();
    assert_eq!((found.validation.unwrap().rows(), found.skipped.validation), (1, 1));
    let none = Data {
        columns: [("a".to_owned(), numeric(Scale::None, Fill::Mean, false))].into(),
        ..data("none.csv")
    };
    let error = folder.load(&none, Loss::MeanSquaredError).unwrap_err();
    assert_eq!(error, "none.csv: no row can be used; 1 bad ones were left out");
}
