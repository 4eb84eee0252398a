use lockstep_core::run::spec::{Data, Loss, Validation};

use super::{Folder, file, scale, table};
use crate::{Encoder, Features, Receiver, Table, Targets, TargetsMut};

fn numbers(rows: u32) -> String {
    (0..rows).fold("x,y\n".into(), |text, i| text + &format!("{i},{}\n", i % 2))
}

fn split(text: &str, share: f64) -> Result<(Table, Table, Encoder), String> {
    let data = Data { validation: Validation::Fraction(share), ..table("a.csv", "y") };
    let prepared = Folder::new().with("a.csv", text).load(&data, Loss::CrossEntropy)?;
    Ok((prepared.train, prepared.validation.unwrap(), prepared.encoder))
}

/// Raw values of the only column.
fn raw(table: &Table, encoder: &Encoder) -> Vec<i64> {
    let Features::F32(z) = table.features() else { panic!() };
    let scale = scale(encoder, 0);
    z.iter().map(|z| (f64::from(*z) * scale.divisor + scale.center).round() as i64).collect()
}

/// Every row is on exactly one side, in order; rows appended later do not move those before.
#[test]
fn a_share_is_held_out() {
    let (train, held, inputs) = split(&numbers(1000), 0.2).unwrap();
    let (train, held) = (raw(&train, &inputs), raw(&held, &inputs));
    assert!((140..260).contains(&held.len()), "{}", held.len());
    assert!(held.is_sorted() && train.is_sorted());
    let mut all = [&train[..], &held[..]].concat();
    all.sort_unstable();
    assert_eq!(all, (0..1000).collect::<Vec<_>>());
    let (_, more, inputs) = split(&numbers(1500), 0.2).unwrap();
    assert_eq!(raw(&more, &inputs)[..held.len()], held);
}

/// Held-out rows, wild as they may be, leave the encoder alone.
#[test]
fn the_encoder_is_fitted_on_training_rows_only() {
    let (train, held, inputs) = split(&numbers(50), 0.3).unwrap();
    let (train_rows, held_rows) = (raw(&train, &inputs), raw(&held, &inputs));
    let wild = (0..50).fold("x,y\n".to_owned(), |text, i: u32| {
        let x = if held_rows.contains(&i64::from(i)) { 1e12 } else { f64::from(i) };
        text + &format!("{x},{}\n", i % 2)
    });
    let (same, clipped, same_inputs) = split(&wild, 0.3).unwrap();
    assert_eq!((&same, &same_inputs), (&train, &inputs));
    assert_eq!(clipped.features(), &Features::F32(vec![10.0; held_rows.len()]));
    let mean = train_rows.iter().sum::<i64>() as f64 / train_rows.len() as f64;
    assert!((scale(&inputs, 0).center - mean).abs() < 1e-12);
}

#[test]
fn a_share_of_too_few_rows() {
    assert_eq!(
        split(&numbers(3), 0.0001).unwrap_err(),
        "a.csv: validation = 0.0001 holds out 0 of 3 rows; expected some and not all: change the share, or \
         name a file"
    );
}

#[test]
fn a_validation_file_is_encoded_like_the_training_rows() {
    let folder = Folder::new()
        .with("a.csv", "x,y\n0,n\n2,p\n")
        .with("v.csv", "y,x\np,5\n")
        .with("w.csv", "x,y\n1,q\n");
    let data = |name| Data { validation: Validation::Source(file(name)), ..table("a.csv", "y") };
    let validation = folder.load(&data("v.csv"), Loss::Perceptron).unwrap().validation.unwrap();
    assert_eq!(validation.features(), &Features::F32(vec![4.0]));
    assert_eq!(validation.targets(), &Targets::Classes { count: 2, of: vec![1] });
    assert_eq!(
        folder.load(&data("w.csv"), Loss::Perceptron).unwrap_err(),
        "w.csv, line 2, column \"y\": found \"q\", expected one of the classes of the training rows: n, p"
    );
}

/// What a worker gathers after the rows have travelled is what the coordinator would.
#[test]
fn rows_survive_the_journey() {
    let (train, _, _) = split(&numbers(5000), 0.5).unwrap();
    let mut receiver =
        Receiver::new(serde_json::from_str(&serde_json::to_string(&train.shape()).unwrap()).unwrap())
            .unwrap();
    while receiver.rows() < train.rows() {
        let first = receiver.rows();
        receiver.append(&train.part(first..train.rows().min(first + 700)).unwrap()).unwrap();
    }
    let there = receiver.finish().unwrap();
    let rows = [train.rows() - 1, 0, 7];
    let gather = |table: &Table| {
        let (mut x, mut classes) = ([0.0; 3], [0; 3]);
        table.gather(&rows, &mut x, TargetsMut::Classes(&mut classes)).unwrap();
        (x, classes)
    };
    assert_eq!(gather(&there), gather(&train));
}
