//! A model in PyTorch: loaded by name into the equivalent `nn.Sequential`, it gives the same logits.

#![allow(clippy::unwrap_used, reason = "it is a test that fails")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Trained, example};
use lockstep_coordinator::store::open_model;
use lockstep_core::model::{Flat, Labels, Microbatch, Workspace};
use lockstep_core::run::spec::{OnBadRow, Reading, Source};
use lockstep_data::{Taking, TargetUse, TargetsMut};

fn logits(model: &str, data: &str) -> Vec<f32> {
    let file = open_model(Path::new(model)).unwrap();
    let source = Source::File(data.into());
    let (reading, on_bad_row) = (&Reading::default(), OnBadRow::Stop);
    let taking = Taking { reading, targets: TargetUse::Ignored, on_bad_row };
    let mut encoded = file.encoder.encode_file(&source, Path::new(""), taking).unwrap();
    let table = encoded.next_block().unwrap().unwrap();
    let rows: Vec<u64> = (0..table.rows()).collect();
    let mut values = vec![0.0; rows.len() * table.width()];
    table.gather(&rows, &mut values, TargetsMut::Ignored).unwrap();
    let labels = Labels::Classes(Vec::new());
    let mut workspace = Workspace::new(&file.model);
    workspace.load(&mut Microbatch { shard: 0, rows: rows.len(), values, labels, weights: Vec::new() });
    workspace.forward(&file.model, &Flat::new(&file.model, &file.weights), None);
    workspace.output().to_vec()
}

#[test]
fn pytorch_gives_the_same_logits() {
    // Another interpreter than the system's: PYTHON=…/bin/python cargo test.
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let has_torch = Command::new(&python).args(["-c", "import torch, safetensors"]).output();
    if !has_torch.is_ok_and(|output| output.status.success()) {
        println!("NOT TESTED: {python} cannot import torch and safetensors");
        return;
    }
    let layers = r#"model.layers=[{ linear = 32 }, "gelu", { dropout = 0.1 }, { linear = { outputs = 24, bias = false } }, "tanh", { linear = 16 }, { leaky_relu = 0.1 }, { linear = 12 }, "sigmoid", { linear = 10 }]"#;
    let normalised = r#"model.layers=["batch_norm", { linear = 24 }, { batch_norm = { eps = 1e-3, momentum = 0.3, affine = false } }, "relu", { linear = 10 }]"#;
    for sets in [vec!["train.epochs=4"], vec!["train.epochs=2", layers], vec!["train.epochs=2", normalised]] {
        let run = Trained::example("digits.toml", &sets);
        let model = format!("{}/model.safetensors", run.path());
        let data = example("digits-test.csv");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/torch_logits.py");
        let output = Command::new(&python).args([script, &model, &data]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let theirs: Vec<f32> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
        let ours = logits(&model, &data);
        assert_eq!((ours.len(), theirs.len()), (3600, 3600));
        let most = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("the greatest difference is {most:e}");
        assert!(most <= 1e-5, "{most:e}");
        assert!(ours.iter().any(|logit| logit.abs() > 0.1));
    }
}
