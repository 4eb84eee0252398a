//! Tables, IDX files, and rows on their way to a worker.

use lockstep_core::run::spec::{Data, Loss, Source, Validation};
use lockstep_data::{Features, Receiver, Table, Targets};

use super::Inputs;
use super::mutate::Mutate;

const TABLE: &str = "x,y,label\n1,2,a\n-0.5,1e3,b\n3,4,a\n\"5\",6,b\n7,8,\"a\"\n";
const CELLS: [&str; 12] =
    ["nan,", "1e999,", ",", "\"", "\r\n", "\n\n", "\u{feff}", "a\n", "inf\n", "x,", "1e308,", "\u{0}"];

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
    let data = Data { train, validation, target, features, in_memory: 1 << 28, shuffle_rows: 16_384 };
    let losses = [Loss::CrossEntropy, Loss::BinaryCrossEntropy, Loss::MeanSquaredError, Loss::Hinge];
    match lockstep_data::load(&data, *mutate.one(&losses), mutate.number(), inputs.folder.path()) {
        Ok(prepared) => {
            let finite = match prepared.train.features() {
                Features::F32(values) => values.iter().all(|value| value.is_finite()),
                Features::U8(_) => true,
            };
            assert!(finite, "a value is not finite");
            assert!(prepared.train.rows() > 0);
            let json = prepared.encoder.to_json();
            assert_eq!(
                lockstep_data::Encoder::from_json(&json).expect("what is written is read"),
                prepared.encoder
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// As `load` of a mutated table.
pub(super) fn table(mutate: &mut Mutate, inputs: &Inputs) {
    let mut bytes = mutate.text(TABLE, &CELLS).into_bytes();
    if mutate.one_in(4) {
        mutate.bytes(&mut bytes);
    }
    std::fs::write(inputs.folder.path().join("table.csv"), bytes).unwrap();
    load(Source::File("table.csv".into()), mutate, inputs);
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
