//! Models and checkpoints on disk.

use std::fs;
use std::path::{Path, PathBuf};

use lockstep_coordinator::machine::Save;
use lockstep_coordinator::progress::Progress;
use lockstep_coordinator::reducer::Snapshot;
use lockstep_coordinator::store::{Identity, RunDirectory, open_checkpoint, open_model, target_of};
use lockstep_core::chain::Inputs as ChainInputs;
use lockstep_core::model::Model;
use lockstep_core::optimizer::Optimizer;
use lockstep_core::run::parse;
use lockstep_core::tensors;
use lockstep_data::{Encoder, Feature, FeatureType, Inputs as Columns, Shape, Target, TargetType};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Inputs;
use super::mutate::Mutate;

const RUN: &str = r#"
data = { train = "a.csv", target = "y" }
model = { loss = "cross_entropy", layers = [{ linear = 3 }, "relu", { linear = 2 }] }
"#;

const FILES: [&str; 4] = ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"];

/// The files of a valid checkpoint.
pub(super) struct Stored(Vec<(&'static str, Vec<u8>)>);

impl Stored {
    /// Writes a checkpoint as a run does, and reads its bytes.
    pub(super) fn new(folder: &Path) -> Self {
        let run = parse(RUN, &[]).unwrap();
        let scale = |column: &str| Feature::standardized(column, 0.5, 2.0);
        let encoder = Encoder {
            inputs: Columns::Columns(vec![scale("a"), scale("b")]),
            target: Target::Classes { column: "y".into(), labels: vec!["no".into(), "yes".into()] },
            weights: None,
        };
        let model =
            Model::embedding(&run.model, &encoder.sample(), &encoder.embeddings(), target_of(&encoder))
                .unwrap();
        let features = FeatureType::F32;
        let train = Shape {
            rows: 9,
            sample: vec![2],
            features,
            targets: TargetType::Classes(2),
            weights: false,
            embeddings: Vec::new(),
        };
        let inputs = ChainInputs::new(&run, lockstep_core::digest::Digest::of(b"rows"), None);
        let identity =
            Identity { run: &run, encoder: &encoder, model: &model, train: &train, inputs, base: folder };
        let opened = RunDirectory::create_or_resume(&folder.join("run"), false, identity).unwrap();
        let weights = model.initial_parameters(1);
        let optimizer = Optimizer::<f32>::new(run.train.optimizer, weights.len());
        let optimizer = optimizer.state().map(|(name, values)| (name, values.to_vec())).collect();
        let snapshot = Snapshot { step: 7, weights, optimizer };
        let save = Save { progress: Progress { step: 7, ..Progress::default() }, milestone: true };
        opened.directory.write_checkpoint(&save, &snapshot).unwrap();
        let read = |name| (name, fs::read(folder.join("run/checkpoint-7").join(name)).unwrap());
        let stored = Self(FILES.map(read).into());
        stored.write(&folder.join("checkpoint"));
        open_checkpoint(&folder.join("checkpoint")).expect("the valid one is read");
        stored
    }

    fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for (name, bytes) in &self.0 {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

/// A checkpoint with one mutated file, whose hash is often made to fit.
pub(super) fn case(mutate: &mut Mutate, inputs: &Inputs) {
    let folder: PathBuf = inputs.folder.path().join("checkpoint");
    inputs.stored.write(&folder);
    let (name, mut bytes) = mutate.one(&inputs.stored.0).clone();
    if mutate.one_in(2) {
        // The head, where the structure is.
        let rest = bytes.split_off(mutate.below(bytes.len()));
        mutate.bytes(&mut bytes);
        bytes.extend(rest);
    } else {
        mutate.bytes(&mut bytes);
    }
    fs::write(folder.join(name), &bytes).unwrap();
    if name != "manifest.json" && !mutate.one_in(4) {
        agree(&folder, name, &bytes);
    }
    // Whatever they say: no panic, and an error has words.
    if let Err(error) = open_checkpoint(&folder) {
        assert!(!error.to_string().is_empty());
    }
    for path in [folder.clone(), folder.join("model.safetensors"), folder.join("optimizer.safetensors")] {
        if let Err(error) = open_model(&path) {
            assert!(!error.to_string().is_empty());
        }
    }
    if let Ok(contents) = tensors::read(&bytes) {
        let views: Vec<_> = contents.tensors.iter().map(tensors::Tensor::view).collect();
        let mut again = Vec::new();
        tensors::write(&mut again, &contents.metadata, &views).expect("what is read is written");
    }
}

fn agree(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    manifest["files"][name] = serde_json::json!({ "bytes": bytes.len(), "sha256": sha256 });
    fs::write(path, manifest.to_string()).unwrap();
}
