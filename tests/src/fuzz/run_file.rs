//! Run files and their overrides.

use lockstep_core::chunks::Chunks;
use lockstep_core::model::{Model, Target};
use lockstep_core::run::{differences, parse, to_toml};

use super::Inputs;
use super::corpus::{self, Files};
use super::mutate::Mutate;
use crate::cluster::RunFile;

const WORDS: [&str; 35] = [
    "0 ",
    "-1 ",
    "1e308 ",
    "1e-320 ",
    "nan ",
    "inf ",
    "-0.0 ",
    "9223372036854775807 ",
    "18446744073709551616 ",
    "true ",
    "\"\" ",
    "\"relu\" ",
    "{ ",
    "} ",
    "[] ",
    "{} ",
    "[[model]]\n",
    "[train]\n",
    "flatten = 1, ",
    "\"flatten\", ",
    "{ dropout = 1.0 }, ",
    "\"batch_norm\", ",
    "{ batch_norm = { momentum = 0.0, affine = false } }, ",
    "{ linear = { outputs = 3, bias = false, init = \"he\" } }, ",
    "\"huber\" ",
    "\u{0}",
    "\u{feff}",
    "\"\\u0000\" ",
    "1979-05-27 ",
    "a.b.c = 1\n",
    "{ leaky_relu = { slope = 2 } }, ",
    "'''",
    "columns = { x = { numeric = { scale = \"log\", missing = 0 } }, \"q\\u0000\\\"\" = \"ignore\" }, ",
    "columns = { x = { date_time = { parts = [\"day\"], format = \"%\" } } }, ",
    "format = \"tsv\", header = false, missing_values = [\"\"], on_bad_row = \"skip\", ",
];

const KEYS: [&str; 10] = [
    "train.epochs",
    "seed",
    "model.layers",
    "train.optimizer.adamw.lr",
    "data.validation",
    "cluster.shards",
    "",
    ".",
    "a.b",
    "train.schedule.cosine.warmup_steps",
];

/// The run files of `examples/`, and the one of other tests.
pub(super) fn corpus() -> Files {
    let mut files = corpus::read(&corpus::folder().join("../../examples"));
    files.retain(|(name, _)| name.ends_with(".toml"));
    files.push(("test.toml".into(), RunFile::default().text().into()));
    files
}

/// Whether it is one.
pub(super) fn is_usable(text: &[u8]) -> bool {
    parse(std::str::from_utf8(text).unwrap(), &[]).is_ok()
}

pub(super) fn case(mutate: &mut Mutate, inputs: &Inputs) {
    let (_, text) = mutate.one(inputs.corpus("run-file"));
    let text = mutate.text(std::str::from_utf8(text).unwrap(), &WORDS);
    let overrides: Vec<String> = (0..mutate.below(3))
        .map(|_| {
            let equals = if mutate.one_in(9) { "" } else { "=" };
            format!("{}{equals}{}", mutate.one(&KEYS), mutate.one(&WORDS))
        })
        .collect();
    match parse(&text, &overrides) {
        Ok(run) => {
            let again = parse(&to_toml(&run), &[]).expect("what is written is read");
            assert_eq!(again, run);
            assert!(differences(&again, &run).is_empty());
            for sample in [&[64][..], &[8, 8], &[usize::MAX]] {
                for target in [Target::Classes(10), Target::Values(1)] {
                    match Model::new(&run.model, sample, target) {
                        Ok(model) if model.layout().len() < 1 << 20 => {
                            assert!(Chunks::new(model.layout()).is_empty() == model.layout().is_empty());
                            model.initial_parameters(run.seed);
                        }
                        Ok(_) => {}
                        Err(error) => assert!(!error.to_string().is_empty()),
                    }
                }
            }
        }
        Err(problem) => assert!(!problem.to_string().is_empty()),
    }
}
