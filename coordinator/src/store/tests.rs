use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lockstep_core::chain::{Inputs, Link};
use lockstep_core::digest::Digest;
use lockstep_core::metrics::{Kind, Sums};
use lockstep_core::model::Model;
use lockstep_core::optimizer::Optimizer;
use lockstep_core::run::parse;
use lockstep_core::run::spec::Run;
use lockstep_data::{Code, Encoder, Feature, FeatureType, Inputs as Columns, Shape, Target, TargetType};

mod crash;
mod damage;

use super::manifest::Manifest;
use super::*;
use crate::machine::{Fingerprint, Save};
use crate::progress::{Evaluation, Progress, Record, StepRecord};
use crate::reducer::Snapshot;

const RUN: &str = r#"
name = "test"
data = { train = "a.csv", target = "y" }
model = { loss = "cross_entropy", layers = [{ linear = 3 }, "relu", { linear = 2 }] }
checkpoint = { every_steps = 2, keep = 2 }
"#;

/// A run directory's surroundings.
struct Fixture {
    folder: tempfile::TempDir,
    run: Run,
    encoder: Encoder,
    model: Model,
    train: Shape,
    /// The digest of the training rows.
    rows: Digest,
}

impl Fixture {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(overrides: &[&str]) -> Self {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        let run = parse(RUN, &overrides).unwrap();
        let scale = |column: &str, mean| Feature::standardized(column, mean, 1.0 / 3.0);
        let encoder = Encoder {
            inputs: Columns::Columns(vec![scale("a", 0.1), scale("b", -7.0)]),
            target: Target::Classes { column: "y".into(), labels: vec!["no".into(), "yes".into()] },
            weights: None,
        };
        let model =
            Model::embedding(&run.model, &encoder.sample(), &encoder.embeddings(), target_of(&encoder))
                .unwrap();
        let features = FeatureType::F32;
        let train = Shape {
            rows: 21,
            sample: vec![2],
            features,
            targets: TargetType::Classes(2),
            weights: false,
            embeddings: Vec::new(),
        };
        let rows = Digest::of(b"rows");
        Self { folder: tempfile::tempdir().unwrap(), run, encoder, model, train, rows }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("runs/test")
    }

    fn checkpoint(&self, step: u64) -> PathBuf {
        self.path().join(format!("checkpoint-{step}"))
    }

    fn open(&self, resume: bool) -> Result<Opened, StoreError> {
        let Self { run, encoder, model, train, rows, .. } = self;
        let inputs = Inputs::new(run, *rows, None);
        let identity = Identity { run, encoder, model, train, inputs, base: Path::new("/data") };
        RunDirectory::create_or_resume(&self.path(), resume, identity)
    }

    /// Different bits for each step, awkward ones among them.
    fn snapshot(&self, step: u64) -> Snapshot {
        let len = self.model.layout().len();
        let values = |salt: f32| (0..len).map(|i| (i as f32 - 3.0) * salt / (step as f32 + 1.7)).collect();
        let mut weights: Vec<f32> = values(0.1);
        weights[1] = -0.0;
        weights[2] = f32::from_bits(1);
        let optimizer = Optimizer::<f32>::new(self.run.train.optimizer, len);
        let moments = optimizer.state().zip([1e-3, 1e-30]).map(|((name, _), salt)| (name, values(salt)));
        Snapshot { step, weights, optimizer: moments.collect() }
    }

    fn save(&self, directory: &RunDirectory, step: u64, milestone: bool) -> Digest {
        let save = Save { progress: progress(step), milestone };
        directory.write_checkpoint(&save, &self.snapshot(step)).unwrap()
    }

    /// A run that was left after these checkpoints.
    fn left_after(self, steps: &[u64]) -> Self {
        let opened = self.open(false).unwrap();
        for step in steps {
            self.save(&opened.directory, *step, true);
        }
        self
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path().join(name)).unwrap();
        text.lines().map(Into::into).collect()
    }

    fn entries(&self) -> Vec<String> {
        let names = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name.contains("checkpoint"));
        names.sort();
        names
    }
}

fn progress(step: u64) -> Progress {
    let sums = Sums { rows: 5, weight: 5.0, loss: f64::INFINITY, correct: 4, ..Sums::default() };
    Progress {
        step,
        samples: 128 * step,
        epoch_loss: (0.1 + step as f64, 3.0),
        last_epoch_loss: Some(1.0 / 3.0),
        train_seconds: 0.7,
        joined: 3,
        lost: 1,
        evaluation: Some(Evaluation { step, sums }),
        ..Progress::default()
    }
}

fn step_record(step: u64) -> Record {
    Record::Step(StepRecord {
        step,
        total_steps: 9,
        epoch: 1,
        loss: 0.5,
        lr: 1e-3,
        norm: step.is_multiple_of(2).then_some(2.5),
        rows: 128,
        seconds: 0.25,
        workers: 2,
    })
}

fn evaluation_record(step: u64) -> Record {
    let sums = Sums { rows: 4, weight: 4.0, loss: 1.0, correct: 3, ..Sums::default() };
    Record::Evaluation { step, epoch: 1, sums }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_resume_finds_every_bit() {
    for optimizer in ["adam", "{ sgd = { momentum = 0.9 } }", "{ sgd = {} }"] {
        let fixture = Fixture::with(&[&format!("train.optimizer={optimizer}")]).left_after(&[2, 4]);
        let opened = fixture.open(true).unwrap();
        let (checkpoint, snapshot) = (opened.checkpoint.unwrap(), fixture.snapshot(4));
        assert_eq!((opened.start, checkpoint.step, opened.skipped.len()), (2, 4, 0));
        assert_eq!(bits(&checkpoint.weights), bits(&snapshot.weights));
        let moments: Vec<_> =
            checkpoint.optimizer.state().map(|(name, values)| (name, values.to_vec())).collect();
        assert_eq!(moments, snapshot.optimizer);
        assert_eq!((&checkpoint.run, &checkpoint.encoder), (&fixture.run, &fixture.encoder));
        let mut progress = checkpoint.progress;
        assert_eq!(progress.saved_step, Some(4));
        // JSON has no infinity.
        let sums = &mut progress.evaluation.as_mut().unwrap().sums;
        assert!(sums.loss.is_nan());
        sums.loss = f64::INFINITY;
        assert_eq!(Progress { saved_step: None, ..progress }, super::tests::progress(4));
    }
}

#[test]
fn the_first_fingerprint_and_the_starts_are_kept() {
    let fixture = Fixture::new();
    let opened = fixture.open(false).unwrap();
    assert_eq!((opened.start, opened.fingerprint), (1, None));
    let fingerprint = Fingerprint {
        numerics: "x86-64/Haswell/1".into(),
        hash: std::array::from_fn(|i| 9 * (i as u8 % 20)),
    };
    opened.directory.remember(&fingerprint).unwrap();
    drop(opened.directory);
    for start in [2, 3] {
        let opened = fixture.open(true).unwrap();
        assert_eq!((opened.start, opened.fingerprint.as_ref()), (start, Some(&fingerprint)));
        assert!(opened.checkpoint.is_none());
    }
    let path = fixture.path().join(names::ENVIRONMENT);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("0009121b", "+009121b")).unwrap();
    let error = fixture.open(true).unwrap_err().to_string();
    assert!(error.contains("env.json: found") && error.contains("expected 64 hexadecimal digits"), "{error}");
    fs::write(fixture.path().join(names::STARTS), "x").unwrap();
    fs::write(&path, text).unwrap();
    let error = fixture.open(true).unwrap_err().to_string();
    assert!(error.ends_with(r#"starts: found "x", expected a count of starts"#), "{error}");
}

#[test]
fn a_directory_belongs_to_one_run_and_one_process() {
    let fixture = Fixture::new();
    let opened = fixture.open(false).unwrap();
    assert!(matches!(fixture.open(true), Err(StoreError::Busy(_))));
    drop(opened);
    let error = fixture.open(false).unwrap_err();
    assert!(matches!(error, StoreError::Taken(_)) && error.exit_code() == 2);
    let text = error.to_string();
    assert!(text.contains("--resume") && text.contains("--run-dir"), "{text}");
    // Refused although only a checkpoint is left of it.
    fs::remove_file(fixture.path().join(names::RUN)).unwrap();
    fs::create_dir(fixture.checkpoint(7)).unwrap();
    assert!(matches!(fixture.open(false), Err(StoreError::Taken(_))));
}

#[test]
fn a_resume_changes_only_what_is_free() {
    let mut fixture = Fixture::new().left_after(&[2]);
    let other = parse(RUN, &["train.batch_size=64".into(), "seed=1".into()]).unwrap();
    let same = std::mem::replace(&mut fixture.run, other);
    let error = fixture.open(true).unwrap_err();
    assert_eq!(error.exit_code(), 78);
    let text = error.to_string();
    assert!(text.ends_with("\n  seed: stored 0, now 1\n  train.batch_size: stored 128, now 64"), "{text}");
    fixture.run = Run { checkpoint: parse(RUN, &["checkpoint.keep=9".into()]).unwrap().checkpoint, ..same };
    assert_eq!(fixture.open(true).unwrap().checkpoint.unwrap().step, 2);
    assert!(fixture.lines(names::RUN).contains(&"keep = 9".to_owned()));
}

#[test]
fn a_resume_on_other_rows_is_refused() {
    let mut fixture = Fixture::new().left_after(&[2]);
    fixture.train.rows = 22;
    let error = fixture.open(true).unwrap_err();
    assert_eq!(error.exit_code(), 78);
    assert!(error.to_string().contains("there were 21"), "{error}");
    fixture.train.rows = 21;
    fixture.rows = Digest::of(b"other rows of the same shape");
    let error = fixture.open(true).unwrap_err();
    assert!(error.to_string().contains("their values are others"), "{error}");
    fixture.rows = Digest::of(b"rows");
    let Columns::Columns(features) = &mut fixture.encoder.inputs else { panic!() };
    let Code::Number(number) = &mut features[0].code else { panic!() };
    number.center += 1e-9;
    assert!(matches!(fixture.open(true), Err(StoreError::OtherData { .. })));
}

#[test]
fn the_newest_valid_checkpoint_is_used() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 3] = [
        ("the file is missing", |path| fs::remove_file(path).unwrap()),
        ("", |path| fs::write(path, []).unwrap()),
        ("", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes.push(b'x');
            fs::write(path, bytes).unwrap();
        }),
    ];
    for name in [names::MODEL, names::OPTIMIZER, names::STATE, names::MANIFEST] {
        for (text, harm) in harms {
            let fixture = Fixture::new().left_after(&[2, 4]);
            harm(&fixture.checkpoint(4).join(name));
            let opened = fixture.open(true).unwrap();
            assert_eq!(opened.checkpoint.map(|checkpoint| checkpoint.step), Some(2), "{name}");
            let error = opened.skipped[0].to_string();
            assert!(
                error.contains("checkpoint-4") && error.contains(name) && error.contains(text),
                "{error}"
            );
            assert_eq!(fixture.entries(), ["checkpoint-2", "checkpoint-4.damaged"]);
            // The damaged one is not in the way of its step, nor counted.
            fixture.save(&opened.directory, 4, true);
            assert_eq!(fixture.entries(), ["checkpoint-2", "checkpoint-4", "checkpoint-4.damaged"]);
        }
    }
}

#[test]
fn nothing_valid_begins_afresh() {
    let fixture = Fixture::new().left_after(&[2]);
    fs::remove_file(fixture.checkpoint(2).join(names::MANIFEST)).unwrap();
    let opened = fixture.open(true).unwrap();
    assert!(opened.checkpoint.is_none() && opened.skipped.len() == 1);
    assert_eq!(fixture.lines(names::DIGESTS), [""; 0]);
}

#[test]
fn the_newest_are_kept() {
    let fixture = Fixture::new();
    let opened = fixture.open(false).unwrap();
    for step in [98, 100, 102, 103] {
        fixture.save(&opened.directory, step, step != 103);
    }
    assert_eq!(fixture.entries(), ["checkpoint-102", "checkpoint-103"]);
    // Written again: the same step, the same place.
    fixture.save(&opened.directory, 103, false);
    assert_eq!(fixture.entries(), ["checkpoint-102", "checkpoint-103"]);
    assert_eq!(fixture.lines(names::DIGESTS).len(), 3);
}

#[test]
fn a_checkpoint_that_cannot_be_written_changes_nothing() {
    let fixture = Fixture::new();
    let opened = fixture.open(false).unwrap();
    fixture.save(&opened.directory, 2, true);
    // A file where the folder is to be.
    let blocked = fixture.path().join(".checkpoint-4.tmp");
    fs::write(&blocked, "").unwrap();
    let save = Save { progress: progress(4), milestone: true };
    let error = opened.directory.write_checkpoint(&save, &fixture.snapshot(4)).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }) && error.to_string().contains(".checkpoint-4.tmp"));
    assert_eq!(fixture.lines(names::DIGESTS).len(), 1);
    drop(opened);
    fs::remove_file(blocked).unwrap();
    // What a killed start left is swept.
    fs::create_dir(fixture.path().join(".checkpoint-4.tmp")).unwrap();
    fs::rename(fixture.checkpoint(2), fixture.path().join(".checkpoint-2.old")).unwrap();
    assert!(fixture.open(true).unwrap().checkpoint.is_none());
    assert_eq!(fixture.entries(), [""; 0]);
}

#[test]
fn lines_are_cut_back_to_the_checkpoint() {
    let fixture = Fixture::new();
    let opened = fixture.open(false).unwrap();
    let mut digests = Vec::new();
    for step in 1..=6 {
        opened.directory.record(&step_record(step)).unwrap();
        if step.is_multiple_of(2) {
            opened.directory.record(&evaluation_record(step)).unwrap();
            digests.push(fixture.save(&opened.directory, step, true));
        }
    }
    drop(opened);
    let all = fixture.lines(names::METRICS);
    assert_eq!(
        all[..3],
        [
            r#"{"step":1,"epoch":1,"loss":0.5,"lr":0.001,"samples_per_second":512.0,"seconds":0.25,"workers":2}"#,
            r#"{"step":2,"epoch":1,"loss":0.5,"lr":0.001,"norm":2.5,"samples_per_second":512.0,"seconds":0.25,"workers":2}"#,
            r#"{"step":2,"epoch":1,"validation":{"loss":0.25,"accuracy":0.75}}"#,
        ]
    );
    let torn = fs::read_to_string(fixture.path().join(names::METRICS)).unwrap() + r#"{"step":4,"ep"#;
    fs::write(fixture.path().join(names::METRICS), torn).unwrap();
    fs::remove_dir_all(fixture.checkpoint(6)).unwrap();
    let opened = fixture.open(true).unwrap();
    assert_eq!(fixture.lines(names::METRICS), all[..6]);
    let mut link = Link::first(&Inputs::new(&fixture.run, fixture.rows, None));
    let mut line = |step: u64| {
        let digest = digests[step as usize / 2 - 1];
        link = link.next(step, digest);
        let chain = serde_json::to_string(&link).unwrap();
        format!(r#"{{"step":{step},"digest":"{digest}","chain":{chain}}}"#)
    };
    let lines = [line(2), line(4)];
    assert_eq!(fixture.lines(names::DIGESTS), lines);
    opened.directory.record(&step_record(5)).unwrap();
    assert_eq!(fixture.lines(names::METRICS), all[..7]);
    drop(opened);
    // What was appended after the checkpoint may be torn; what is before it may not be changed.
    let path = fixture.path().join(names::DIGESTS);
    fs::write(&path, lines.join("\n") + "\n" + &lines[0][..9]).unwrap();
    fixture.open(true).unwrap();
    assert_eq!(fixture.lines(names::DIGESTS), lines);
    let changed = lines.join("\n").replacen("\"step\":2", "\"step\":1", 1) + "\n";
    let torn = lines[0].clone() + "\n" + &lines[1][..9];
    let cases = [
        (changed, "digests.jsonl: line 1 does not continue the chain"),
        (torn, "digests.jsonl: line 2 does not continue the chain"),
        (
            lines[0].clone() + "\n",
            "digests.jsonl: it ends after 1 lines, before those of the checkpoint of step 4",
        ),
        (lines[1].clone() + "\n", "digests.jsonl: line 1 does not continue the chain"),
    ];
    for (text, says) in cases {
        fs::write(&path, &text).unwrap();
        let error = fixture.open(true).unwrap_err();
        assert_eq!(error.exit_code(), 78);
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn an_evaluation_that_is_due_is_not_kept() {
    let fixture = Fixture::new();
    let opened = fixture.open(false).unwrap();
    let save = Save { progress: Progress { evaluation_due: true, ..progress(3) }, milestone: false };
    opened.directory.record(&step_record(3)).unwrap();
    opened.directory.write_checkpoint(&save, &fixture.snapshot(3)).unwrap();
    opened.directory.record(&evaluation_record(3)).unwrap();
    drop(opened);
    fixture.open(true).unwrap();
    assert_eq!(fixture.lines(names::METRICS).len(), 1);
}

#[test]
fn a_model_is_found_wherever_it_is() {
    let fixture = Fixture::new();
    assert!(matches!(open_model(&fixture.path()), Err(StoreError::NoModel(_))));
    let opened = fixture.open(false).unwrap();
    assert!(matches!(open_model(&fixture.path()), Err(StoreError::NoModel(_))));
    fixture.save(&opened.directory, 2, true);
    let digest = fixture.save(&opened.directory, 4, true);
    fs::remove_file(fixture.checkpoint(4).join(names::OPTIMIZER)).unwrap();
    assert_eq!(open_model(&fixture.path()).unwrap().step, 2);
    let model = open_model(&fixture.checkpoint(4)).unwrap();
    assert_eq!((model.step, model.digest), (4, digest));

    let results = Results::new(&progress(4), digest, 3, Kind::Classes, 9.5, Bytes { up: 7, down: 8 });
    opened.directory.finish(&results).unwrap();
    for path in [fixture.path(), fixture.path().join(names::MODEL)] {
        let model = open_model(&path).unwrap();
        assert_eq!((model.step, model.digest), (4, digest));
        assert_eq!(bits(&model.weights), bits(&fixture.snapshot(4).weights));
        assert_eq!((model.run, model.encoder), (fixture.run.clone(), fixture.encoder.clone()));
    }
    let read: serde_json::Value =
        serde_json::from_slice(&fs::read(fixture.path().join(names::RESULTS)).unwrap()).unwrap();
    assert_eq!((&read["epochs"], &read["validation"]["accuracy"]), (&2.into(), &0.8.into()));
    assert_eq!((&read["samples"], &read["workers"]["lost"]), (&512.into(), &1.into()));
}

#[test]
fn files_that_are_no_models() {
    let fixture = Fixture::new().left_after(&[2]);
    let path = fixture.path().join("other.safetensors");
    let good =
        lockstep_core::tensors::read(&fs::read(fixture.checkpoint(2).join(names::MODEL)).unwrap()).unwrap();
    let error = |contents: &lockstep_core::tensors::Contents| {
        let views: Vec<_> = contents.tensors.iter().map(|tensor| tensor.view()).collect();
        let mut bytes = Vec::new();
        lockstep_core::tensors::write(&mut bytes, &contents.metadata, &views).unwrap();
        fs::write(&path, bytes).unwrap();
        open_model(&path).map(|_| ()).unwrap_err().to_string()
    };
    let mut foreign = good.clone();
    foreign.metadata = BTreeMap::new();
    assert!(error(&foreign).contains("not a model of lockstep: the metadata has no \"lockstep.run\""));
    let mut more = good.clone();
    more.tensors[0].name = "layers.0.bias2".into();
    assert!(error(&more).ends_with(
        "found tensor `layers.0.bias2` of shape [3, 2], expected tensor `layers.0.weight` of shape [3, 2]"
    ));
    let mut less = good.clone();
    less.tensors.pop();
    assert!(error(&less).ends_with("found no more tensors, expected tensor `layers.2.bias` of shape [2]"));
    let mut other = good;
    other.metadata.insert("lockstep.step".into(), "-1".into());
    assert!(error(&other).contains("the metadata's \"lockstep.step\" cannot be read"));
    fs::write(&path, "no tensors").unwrap();
    let text = open_model(&path).unwrap_err().to_string();
    assert!(text.contains("other.safetensors: not a safetensors file"), "{text}");
}

/// The script knows nothing but the two files.
#[test]
fn the_script_computes_the_digest() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("NOT TESTED: there is no python3 to run tests/digest.py");
        return;
    }
    let fixture = Fixture::new();
    let digest = fixture.save(&fixture.open(false).unwrap().directory, 4, true);
    let folder = fixture.checkpoint(4);
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/digest.py")).arg("4");
    let output =
        command.args([names::MODEL, names::OPTIMIZER].map(|name| folder.join(name))).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), digest.to_string());
}
