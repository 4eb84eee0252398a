//! Files of every format, and rows on their way to a worker.

use std::collections::BTreeMap;
use std::path::Path;

use lockstep_core::run::spec::{
    ClassWeights, Column, Data, Fill, Loss, OnBadRow, Reading, Scale, Source, TargetScale, Validation,
};
use lockstep_data::{Features, Goal, Receiver, Rows, Table, Targets, open};

use super::corpus::Files;
use super::mutate::Mutate;
use super::{Inputs, entries};

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

fn load(train: Source, mutate: &mut Mutate, folder: &Path) {
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
    match lockstep_data::load(&data, goal, mutate.number(), folder) {
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

/// A mutated file of a target's, alone or beside those of the cases before it: read as it is, and loaded.
pub(super) fn file(target: &str, mutate: &mut Mutate, inputs: &Inputs) {
    let files = inputs.corpus(target);
    let (name, bytes) = mutate.one(files);
    let bytes = damaged(bytes, files, mutate);
    let folder = inputs.folder(target);
    std::fs::write(folder.join(name), bytes).unwrap();
    let source = Source::File(if mutate.one_in(9) { "*".into() } else { name.clone() });
    match open(&source, &Reading::default(), &folder) {
        Ok(data) => entries::read(&*data),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    load(source, mutate, &folder);
}

/// Whether a file can be trained on.
pub(super) fn is_loaded(name: &str, folder: &Path) -> bool {
    let text = format!(
        "data = {{ train = {name:?}, target = \"label\", validation = 0.4 }}\n\
         model = {{ loss = \"cross_entropy\", layers = [{{ linear = 2 }}] }}"
    );
    let run = lockstep_core::run::parse(&text, &[]).unwrap();
    lockstep_data::load(&run.data, Goal::of(&run), run.seed, folder).is_ok()
}

fn damaged(bytes: &[u8], files: &Files, mutate: &mut Mutate) -> Vec<u8> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return mutate.text(text, &CELLS).into_bytes();
    }
    let mut bytes = bytes.to_vec();
    match mutate.below(8) {
        // The end, where Parquet, Arrow and ZIP keep their structure.
        0..4 => {
            let mut end = bytes.split_off(mutate.below(bytes.len()));
            mutate.bytes(&mut end);
            bytes.extend(end);
        }
        // The tail of another.
        4 => {
            let (_, other) = mutate.one(files);
            bytes.truncate(mutate.below(bytes.len()));
            bytes.extend_from_slice(&other[mutate.below(other.len())..]);
        }
        _ => mutate.bytes(&mut bytes),
    }
    bytes
}

/// As `load` of a mutated pair.
pub(super) fn idx(mutate: &mut Mutate, inputs: &Inputs) {
    let (files, folder) = (inputs.corpus("idx"), inputs.folder("idx"));
    let packing = if mutate.one_in(4) { ".gz" } else { "" };
    let names = ["images", "labels"].map(|name| format!("{name}.idx{packing}"));
    let chosen = mutate.below(3).min(1);
    for (i, name) in names.iter().enumerate() {
        let (_, bytes) = files.iter().find(|(known, _)| known == name).unwrap();
        let bytes = if i == chosen { damaged(bytes, files, mutate) } else { bytes.clone() };
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let [images, labels] = names;
    let source = if mutate.one_in(4) { Source::File(images) } else { Source::Idx { images, labels } };
    load(source, mutate, &folder);
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
