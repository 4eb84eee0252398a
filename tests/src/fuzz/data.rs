//! Tables, IDX files, and rows on their way to a worker.

use std::collections::BTreeMap;

use lockstep_core::run::spec::{
    ClassWeights, Column, Data, Fill, Loss, OnBadRow, Reading, Scale, Source, TargetScale, Validation,
};
use lockstep_data::{Features, Goal, Receiver, Rows, Table, Targets};

use super::Inputs;
use super::mutate::Mutate;

pub(super) const TABLE: &str = "x,y,label\n1,2,a\n-0.5,1e3,b\n3,4,a\n\"5\",6,b\n7,8,\"a\"\n";
pub(super) const OBJECTS: &str = "{\"x\": 1, \"y\": 2.5, \"label\": \"a\"}\n{\"y\": null, \"x\": -3, \"label\": \"b\"}\n\n{\"label\": \"a\", \"x\": \"7\", \"y\": 1e3}\n";
const CELLS: [&str; 16] = [
    "2024-02-29,",
    "true,",
    "2024-02-29T23:59:60Z,",
    "99999999,",
    "nan,",
    "1e999,",
    ",",
    "\"",
    "\r\n",
    "\n\n",
    "\u{feff}",
    "a\n",
    "inf\n",
    "x,",
    "1e308,",
    "\u{0}",
];

fn load(train: Source, mutate: &mut Mutate, inputs: &Inputs) {
    let target = matches!(train, Source::File(_)).then(|| (*mutate.one(&["label", "x", "y", ""])).to_owned());
    let validation = match mutate.below(3) {
        0 => Validation::None,
        1 => Validation::Fraction(0.4),
        _ => Validation::Source(train.clone()),
    };
    // As the run file's reader gives it: each once, and never the target.
    let features: Option<Vec<String>> = mutate.one_in(4).then(|| {
        let all = ["y", "x", "label"].into_iter().filter(|name| Some(*name) != target.as_deref());
        all.take(1 + mutate.below(2)).map(Into::into).collect()
    });
    let kinds = [
        Column::Ignore,
        Column::Boolean,
        Column::Categorical { most: 2, embedding: None },
        Column::Categorical { most: 2, embedding: Some(3) },
        Column::DateTime { parts: None, format: None },
        Column::DateTime { parts: None, format: Some("%Y%m%d".into()) },
        Column::Numeric { scale: Scale::Log, missing: Fill::Median, indicator: true },
        Column::Numeric { scale: Scale::MinMax, missing: Fill::Stop, indicator: false },
        Column::Numeric { scale: Scale::None, missing: Fill::Constant(1.0), indicator: false },
    ];
    let mut columns = BTreeMap::new();
    for name in ["x", "y"] {
        if Some(name) != target.as_deref() && mutate.one_in(3) {
            columns.insert(name.to_owned(), mutate.one(&kinds).clone());
        }
    }
    let reading = Reading { header: !mutate.one_in(9), ..Reading::default() };
    let on_bad_row = if mutate.one_in(2) { OnBadRow::Stop } else { OnBadRow::Skip };
    let (in_memory, shuffle_rows) = (1 << 28, 16_384);
    let taken = |name: &&str| {
        Some(*name) == target.as_deref()
            || features.as_ref().is_some_and(|names| names.iter().any(|other| other == name))
            || columns.contains_key(*name)
    };
    let weight = ["x", "y"].into_iter().find(|name| !taken(name)).map(ToOwned::to_owned);
    let weight = weight.filter(|_| mutate.one_in(4));
    let data = Data {
        train,
        validation,
        target,
        target_scale: TargetScale::Standardize,
        weight,
        features,
        columns,
        reading,
        on_bad_row,
        in_memory,
        shuffle_rows,
    };
    let losses = [Loss::CrossEntropy, Loss::BinaryCrossEntropy, Loss::MeanSquaredError, Loss::Hinge];
    let loss = *mutate.one(&losses);
    let balanced = loss.takes_classes() && mutate.one_in(3);
    let class_weights = balanced.then_some(&ClassWeights::Balanced);
    let goal = Goal { loss, class_weights };
    match lockstep_data::load(&data, goal, mutate.number(), inputs.folder.path()) {
        Ok(prepared) => {
            let Rows::Whole(train) = &prepared.train else { panic!("small data are held whole") };
            let finite = match train.features() {
                Features::F32(values) => values.iter().all(|value| value.is_finite()),
                Features::U8(_) => true,
            };
            assert!(finite, "a value is not finite");
            assert!(prepared.train.rows() > 0);
            let json = prepared.catalog.encoder.to_json();
            assert_eq!(
                lockstep_data::Encoder::from_json(&json).expect("what is written is read"),
                prepared.catalog.encoder
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// As `load` of a mutated text table, or of several files of which it is one.
pub(super) fn table(mutate: &mut Mutate, inputs: &Inputs) {
    let (name, mut bytes) = match mutate.below(3) {
        0 => ("table.tsv", mutate.text(&TABLE.replace(',', "\t"), &CELLS).into_bytes()),
        1 => ("table.jsonl", mutate.text(OBJECTS, &CELLS).into_bytes()),
        _ => ("table.csv", mutate.text(TABLE, &CELLS).into_bytes()),
    };
    if mutate.one_in(4) {
        mutate.bytes(&mut bytes);
    }
    std::fs::write(inputs.folder.path().join(name), bytes).unwrap();
    let name = if mutate.one_in(9) { "table*" } else { name };
    load(Source::File(name.into()), mutate, inputs);
}

/// As `load` of a mutated file of a binary format.
pub(super) fn columns(mutate: &mut Mutate, inputs: &Inputs) {
    let (name, bytes) = mutate.one(&inputs.columns);
    let mut bytes = bytes.clone();
    if mutate.one_in(2) {
        // The end, where Parquet, Arrow and ZIP keep their structure.
        let mut end = bytes.split_off(mutate.below(bytes.len()));
        mutate.bytes(&mut end);
        bytes.extend(end);
    } else {
        mutate.bytes(&mut bytes);
    }
    std::fs::write(inputs.folder.path().join(name), bytes).unwrap();
    load(Source::File((*name).into()), mutate, inputs);
}

/// As `load` of a mutated pair.
pub(super) fn idx(mutate: &mut Mutate, inputs: &Inputs) {
    let mut images = vec![0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2];
    images.extend(0..12);
    let mut labels = vec![0, 0, 8, 1, 0, 0, 0, 3, 1, 0, 1];
    let either = if mutate.one_in(3) { &mut labels } else { &mut images };
    mutate.bytes(either);
    for (name, bytes) in [("images", images), ("labels", labels)] {
        std::fs::write(inputs.folder.path().join(name), bytes).unwrap();
    }
    load(Source::Idx { images: "images".into(), labels: "labels".into() }, mutate, inputs);
}

/// A mutated part of rows, and a mutated shape.
pub(super) fn part(mutate: &mut Mutate) {
    let features = if mutate.one_in(2) {
        Features::F32((0..15).map(|i| i as f32).collect())
    } else {
        Features::U8((0..15).collect())
    };
    let targets = if mutate.one_in(2) {
        Targets::Classes { count: 3, of: vec![0, 1, 2, 1, 0] }
    } else {
        Targets::Values { width: 1, of: vec![0.5; 5] }
    };
    let table = Table::new(vec![3], features, targets).expect("a table");
    let weights = vec![0.0, 0.5, 1.0, 2.0, 1e18];
    let table = if mutate.one_in(3) { table.weighted(weights).expect("weights") } else { table };
    let json = serde_json::to_string(&table.shape()).unwrap();
    let words =
        ["0", "18446744073709551615", "99999999999", "-1", "null,", "[", "\"u8\"", "\"f32\"", "\"absent\""];
    let json = if mutate.one_in(3) { mutate.text(&json, &words) } else { json };
    let Ok(shape) = serde_json::from_str(&json) else { return };
    let Ok(mut receiver) = Receiver::new(shape) else { return };
    while receiver.rows() < 5 {
        let first = receiver.rows();
        let mut bytes = table.part(first..5.min(first + 2)).unwrap();
        if mutate.one_in(2) {
            mutate.bytes(&mut bytes);
        }
        if receiver.append(&bytes).is_err() {
            assert_eq!(receiver.rows(), first, "a refused part changed something");
            return;
        }
    }
    // Whether it is a table now depends on the shape.
    let _ = receiver.finish();
}
