//! Small models, trained on one thread and stored as a run stores them.

#![allow(dead_code, unreachable_pub, reason = "not every test uses all of it")]
#![allow(clippy::unwrap_used, reason = "it is a test that fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lockstep_coordinator::assemble;
use lockstep_coordinator::machine::Save;
use lockstep_coordinator::progress::{Evaluation, Progress};
use lockstep_coordinator::reducer::Snapshot;
use lockstep_coordinator::store::{Bytes, Identity, Results, RunDirectory, target_of};
use lockstep_core::epoch::{Arrangement, Order};
use lockstep_core::evaluation;
use lockstep_core::gradient::Summary;
use lockstep_core::local::Local;
use lockstep_core::metrics::Sums;
use lockstep_core::model::{Flat, Labels, Microbatch, Model, Workspace};
use lockstep_core::run::parse;
use lockstep_data::{Goal, Rows, TargetType, TargetsMut, load};

/// A finished run.
pub struct Trained {
    folder: tempfile::TempDir,
    /// Over the validation rows.
    pub sums: Sums,
    pub steps: u64,
}

pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

pub fn example(name: &str) -> String {
    examples().join(name).display().to_string()
}

impl Trained {
    /// Trains a run file of `examples/` with these overrides.
    pub fn example(name: &str, sets: &[&str]) -> Self {
        let text = std::fs::read_to_string(examples().join(name)).unwrap();
        Self::new(&text, sets, &examples())
    }

    /// Trains a run file whose data lie in `base`.
    pub fn new(text: &str, sets: &[&str], base: &Path) -> Self {
        let run = parse(text, &sets.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let data = load(&run.data, Goal::of(&run), run.seed, base).unwrap();
        let encoder = &data.catalog.encoder;
        let (sample, embeddings) = (encoder.sample(), encoder.embeddings());
        let model = Model::embedding(&run.model, &sample, &embeddings, target_of(encoder)).unwrap();
        let arrangement = Arrangement::Rows(data.train.rows());
        let mut order = Order::new(run.seed, run.cluster.shards, run.train.batch_size, arrangement);
        let (plan, shards) = (order.plan(), run.cluster.shards);
        let steps = plan.steps_per_epoch() * run.train.epochs;
        let mut local = Local::new(run.clone(), model.clone(), steps);
        let mut samples = 0;
        for step in 0..steps {
            let (epoch, k) = (step / plan.steps_per_epoch(), step % plan.steps_per_epoch());
            let mut microbatches: Vec<_> =
                (0..shards).map(|shard| gathered(&data.train, shard, &order.rows(epoch, k, shard))).collect();
            let Summary { rows, .. } = local.advance(&mut microbatches);
            samples += rows;
        }
        let validation = data.validation.as_ref().unwrap_or(&data.train);
        let mut sums = Sums::default();
        for rows in evaluation::pieces(validation.rows()) {
            let mut piece = gathered(validation, 0, &rows.collect::<Vec<_>>());
            sums.add(&evaluation::piece(
                &model,
                &Flat::new(&model, local.weights()),
                &mut Workspace::new(&model),
                &mut piece,
            ));
        }

        let folder = tempfile::tempdir().unwrap();
        let catalog = &data.catalog;
        let inputs = assemble::inputs(&run, catalog);
        let (encoder, train) = (&catalog.encoder, &catalog.train.shape);
        let identity = Identity { run: &run, encoder, model: &model, train, inputs, base };
        let opened = RunDirectory::create_or_resume(&folder.path().join("run"), false, identity).unwrap();
        let evaluation = Some(Evaluation { step: steps, sums });
        let progress = Progress { step: steps, samples, evaluation, ..Progress::default() };
        let optimizer = local.optimizer().state().map(|(name, values)| (name, values.to_vec())).collect();
        let snapshot = Snapshot { step: steps, weights: local.weights().to_vec(), optimizer };
        let save = Save { progress: progress.clone(), milestone: true };
        let digest = opened.directory.write_checkpoint(&save, &snapshot).unwrap();
        let kind = opened.directory.kind();
        let results = Results::new(&progress, digest, plan.steps_per_epoch(), kind, 1.0, Bytes::default());
        opened.directory.finish(&results).unwrap();
        Self { folder, sums, steps }
    }

    pub fn path(&self) -> String {
        self.folder.path().join("run").display().to_string()
    }

    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes a file beside the run.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.folder.path().join(name), content).unwrap();
        self.file(name)
    }
}

fn gathered(table: &Rows, shard: u32, rows: &[u64]) -> Microbatch<f32> {
    let mut values = vec![0.0; rows.len() * table.shape().width().unwrap()];
    let mut labels = match table.shape().targets {
        TargetType::Values(width) => Labels::Values(vec![0.0; rows.len() * width]),
        _ => Labels::Classes(vec![0; rows.len()]),
    };
    let targets = match &mut labels {
        Labels::Classes(classes) => TargetsMut::Classes(classes),
        Labels::Values(values) => TargetsMut::Values(values),
    };
    table.gather(rows, &mut values, targets).unwrap();
    let mut weights = Vec::new();
    table.gather_weights(rows, &mut weights).unwrap();
    Microbatch { shard, rows: rows.len(), values, labels, weights }
}

/// Runs the command; exit code, stdout, stderr.
pub fn lockstep(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep")).args(arguments).output().unwrap();
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// What the command prints, which must succeed and say nothing else.
pub fn stdout(arguments: &[&str]) -> String {
    let (code, stdout, stderr) = lockstep(arguments);
    assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
    stdout
}

pub fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&stdout(&[arguments, &["--json"]].concat())).unwrap()
}

/// The message of a command that must fail with 78.
pub fn refused(arguments: &[&str]) -> String {
    let (code, stdout, stderr) = lockstep(arguments);
    assert_eq!((code, stdout.as_str()), (78, ""), "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.lines().count() == 1, "{stderr}");
    stderr
}

/// A CSV's records, the header first.
pub fn records(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(Into::into).collect()).collect()
}

/// A column of a CSV file by name.
pub fn column(records: &[Vec<String>], name: &str) -> Vec<String> {
    let place = records[0].iter().position(|column| column == name).unwrap();
    records[1..].iter().map(|record| record[place].clone()).collect()
}
