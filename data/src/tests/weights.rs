//! What rows count for.

use lockstep_core::run::spec::{ClassWeights, Data, Loss, OnBadRow, Validation};

use super::{Folder, Prepared, encode, table};
use crate::{Encoder, Goal, TargetUse, load};

const ROWS: &str = "x,w,y\n1,0.5,no\n2,2,no\n3,1e-3,yes\n4,0,no\n";

fn weighted() -> Data {
    Data { weight: Some("w".into()), ..table("a.csv", "y") }
}

fn of(text: &str, data: &Data, class_weights: Option<&ClassWeights>) -> Result<Prepared, String> {
    let folder = Folder::new().with("a.csv", text);
    let goal = Goal { loss: Loss::CrossEntropy, class_weights };
    let name = format!("{}/", folder.path().display());
    let loaded = load(data, goal, 7, folder.path());
    loaded.map(Prepared::from).map_err(|error| error.to_string().replace(&name, ""))
}

fn classes(weights: &[(&str, f64)]) -> ClassWeights {
    ClassWeights::Of(weights.iter().map(|(label, weight)| ((*label).to_owned(), *weight)).collect())
}

#[test]
fn a_column_of_weights_is_no_feature() {
    let Prepared { train, encoder, .. } = of(ROWS, &weighted(), None).unwrap();
    assert_eq!(train.weights(), Some(&[0.5, 2.0, 1e-3, 0.0][..]));
    assert_eq!(train.shape().sample, [1]);
    assert_eq!(encoder.weight_column(), Some("w"));
    assert_eq!(Encoder::from_json(&encoder.to_json()), Ok(encoder));
    assert_eq!(of(ROWS, &table("a.csv", "y"), None).unwrap().train.weights(), None);
}

/// n / (classes · rows of the class): 4 / (2 · 3) and 4 / (2 · 1).
#[test]
fn balanced_classes_weigh_the_same_in_sum() {
    let prepared = of(ROWS, &table("a.csv", "y"), Some(&ClassWeights::Balanced)).unwrap();
    let third = (4.0f64 / 6.0) as f32;
    assert_eq!(prepared.train.weights(), Some(&[third, third, 2.0, third][..]));
}

#[test]
fn a_weight_is_the_product() {
    let prepared = of(ROWS, &weighted(), Some(&classes(&[("no", 3.0)]))).unwrap();
    assert_eq!(prepared.train.weights(), Some(&[1.5, 6.0, 1e-3, 0.0][..]));
}

/// Other rows are weighed as the training rows were; to predict, nothing is needed.
#[test]
fn the_encoder_knows_the_weights() {
    let encoder = of(ROWS, &weighted(), Some(&ClassWeights::Balanced)).unwrap().encoder;
    let folder = Folder::new().with("b.csv", "y,w,x\nyes,2,1\nno,3,1\n").with("c.csv", "x\n1\n");
    let rows = encode(&encoder, &folder, "b.csv", TargetUse::Required).unwrap();
    assert_eq!(rows.weights(), Some(&[4.0, 2.0][..]));
    let rows = encode(&encoder, &folder, "c.csv", TargetUse::Ignored).unwrap();
    assert_eq!(rows.weights(), None);
    let error = encode(&encoder, &folder, "c.csv", TargetUse::Required).unwrap_err().to_string();
    assert!(error.ends_with("c.csv, column \"y\": there is no such column; the file has x"), "{error}");
}

#[test]
fn a_held_out_row_is_weighed_too() {
    let rows: String = (0..200).map(|i| format!("{i},{},{}\n", i % 5, i % 2)).collect();
    let data = Data { validation: Validation::Fraction(0.3), ..weighted() };
    let Prepared { train, validation, .. } = of(&format!("x,w,y\n{rows}"), &data, None).unwrap();
    let sum = |weights: Option<&[f32]>| weights.unwrap().iter().sum::<f32>();
    assert_eq!(sum(train.weights()) + sum(validation.unwrap().weights()), 400.0);
}

#[test]
fn what_is_no_weight() {
    for (cell, found) in [("-1", "\"-1\""), ("", "an empty cell"), ("inf", "\"inf\""), ("1e19", "\"1e19\"")] {
        let text = ROWS.replace("2,2,no", &format!("2,{cell},no"));
        assert_eq!(
            of(&text, &weighted(), None).unwrap_err(),
            format!("a.csv, line 3, column \"w\": found {found}, expected a weight: a number from 0 to 1e18")
        );
        let skip = Data { on_bad_row: OnBadRow::Skip, ..weighted() };
        let prepared = of(&text, &skip, None).unwrap();
        assert_eq!((prepared.skipped.train, prepared.train.rows()), (1, 3));
    }
    let none = ROWS.replace("0.5", "0").replace(",2,", ",0,").replace("1e-3", "0");
    assert_eq!(
        of(&none, &weighted(), None).unwrap_err(),
        "a.csv: every row weighs 0, so that there is nothing to learn from or to measure"
    );
    assert_eq!(
        of(ROWS, &table("a.csv", "y"), Some(&classes(&[("yess", 2.0)]))).unwrap_err(),
        "a.csv, column \"y\": train.class_weights names \"yess\"; did you mean \"yes\"?"
    );
    assert_eq!(
        of(ROWS, &table("a.csv", "y"), Some(&classes(&[("maybe", 2.0)]))).unwrap_err(),
        "a.csv, column \"y\": train.class_weights names \"maybe\", which no training row has; the classes are \
         no, yes"
    );
    let named = Data { weight: Some("v".into()), ..table("a.csv", "y") };
    assert!(of(ROWS, &named, None).unwrap_err().starts_with("a.csv, column \"v\": there is no such column"));
}

/// Rows that weigh nothing may fill a whole block of data that are read in blocks.
#[test]
fn a_block_may_weigh_nothing() {
    let rows: String = (0..9000).map(|i| format!("{i},{},{}\n", u32::from(i > 8500), i % 2)).collect();
    let data = Data { in_memory: 1, ..weighted() };
    let folder = Folder::new().with("a.csv", format!("x,w,y\n{rows}"));
    let goal = Goal { loss: Loss::CrossEntropy, class_weights: None };
    let prepared = load(&data, goal, 7, folder.path()).unwrap();
    assert!(matches!(prepared.train, crate::Rows::Blocks(_)));
    assert_eq!(prepared.train.rows(), 9000);
}

/// But not all of them, whether they are read in blocks or held.
#[test]
fn all_blocks_may_not() {
    let rows: String = (0..9000).map(|i| format!("{i},0,{}\n", i % 2)).collect();
    let folder = Folder::new().with("a.csv", format!("x,w,y\n{rows}"));
    for in_memory in [1, 1 << 28] {
        let error = folder.load(&Data { in_memory, ..weighted() }, Loss::CrossEntropy).unwrap_err();
        assert_eq!(error, "a.csv: every row weighs 0, so that there is nothing to learn from or to measure");
    }
}
