//! `lockstep inspect`: what things are.

mod common;

use std::path::Path;

use common::{Trained, example, json, refused, stdout};
use serde_json::json as value;

#[test]
fn a_run_file() {
    let found = json(&["inspect", &example("digits.toml")]);
    assert_eq!(found["rows"], value!({ "train": 1437, "validation": 360 }));
    assert_eq!((&found["steps"], &found["steps_per_epoch"]), (&360.into(), &12.into()));
    // 64·128 + 128 + 128·64 + 64 + 64·10 + 10
    assert_eq!(found["parameters"], 17_226);
    assert_eq!(found["bytes_a_step"], value!({ "up_a_node": 4 * 17_226, "down_a_worker": 4 * 17_226 }));
    // Without the input gradient of the first layer: 2·8192 + 3·8192 + 3·640.
    let forward_and_backward = 2 * 8192 + 3 * 8192 + 3 * 640;
    assert_eq!(
        found["multiply_adds_a_row"],
        value!({ "forward": 17_024, "forward_and_backward": forward_and_backward })
    );
    assert_eq!(found["layers"][1]["outputs"], 64);
    let text = stdout(&["inspect", &example("digits.toml")]);
    assert!(text.contains("17,226") && text.contains("layers.2 (linear"), "{text}");
}

/// 128 rows on two workers of one thread each: forward and loss, then backward.
#[test]
fn the_time_of_a_step() {
    let asked = ["inspect", &example("digits.toml"), "--workers", "2", "--flops", "100G"];
    let found = json(&[&asked[..], &["--bandwidth", "1M"]].concat())["prediction"].clone();
    let seconds = |part: &str| found[part].as_f64().unwrap();
    let products = 64.0 * 2.0 * 17_024.0 / 100e9;
    let forward = seconds("forward_seconds");
    assert!(forward > products && forward < 2.0 * products, "{forward}");
    // Two gradients up and the weights down twice, at 1 MB/s: far longer than backward.
    assert_eq!(seconds("transfer_seconds"), 2.0 * 4.0 * 17_226.0 / 1e6);
    let step = seconds("fixed_seconds") + forward + seconds("transfer_seconds");
    assert!((seconds("step_seconds") - step).abs() < 1e-12, "{found}");
    // On one core, both workers' arithmetic and all bytes come one after the other.
    let shared = json(&[&asked[..], &["--cores", "1"]].concat())["prediction"].clone();
    let arithmetic = 2.0 * (forward + seconds("backward_seconds"));
    assert!(shared["shared_cores_seconds"].as_f64().unwrap() > arithmetic);
    let text = stdout(&asked);
    assert!(text.contains("on 2 workers: forward"), "{text}");
}

#[test]
fn running_statistics_are_no_parameters() {
    let layers = r#"model.layers=["batch_norm", { linear = 10 }]"#;
    let run = Trained::example("digits.toml", &["train.epochs=1", layers]);
    let model = json(&["inspect", &format!("{}/model.safetensors", run.path())]);
    let parameters = 64 + 64 + 640 + 10;
    assert_eq!((&model["parameters"], &model["statistics"]), (&parameters.into(), &128.into()));
    assert_eq!(model["tensors"][4], value!({ "name": "layers.0.running_mean", "shape": [64] }));
    let text = stdout(&["inspect", &format!("{}/model.safetensors", run.path())]);
    assert!(text.contains("778, and 128 running statistics"), "{text}");
}

#[test]
fn a_dataset() {
    let found = json(&["inspect", &example("breast-cancer-test.csv")]);
    let columns = found["columns"].as_array().unwrap();
    assert_eq!(columns.len(), 31);
    assert_eq!(columns[30]["name"], "diagnosis");
    assert_eq!(columns[30]["values"], value!(["benign", "malignant"]));
    assert_eq!(columns[0]["kind"], "number");
    let text = stdout(&["inspect", &example("breast-cancer-test.csv")]);
    assert!(text.contains("benign, malignant"), "{text}");
}

#[test]
fn what_a_run_left() {
    let run = Trained::example("digits.toml", &["train.epochs=1"]);
    let model = json(&["inspect", &format!("{}/model.safetensors", run.path())]);
    assert_eq!((&model["kind"], &model["step"]), (&"model".into(), &run.steps.into()));
    assert_eq!(model["tensors"][0], value!({ "name": "layers.0.weight", "shape": [128, 64] }));
    let folder = format!("{}/checkpoint-{}", run.path(), run.steps);
    let checkpoint = json(&["inspect", &folder]);
    assert_eq!(checkpoint["digest"], model["digest"]);
    assert_eq!(checkpoint["optimizer"], value!(["exp_avg", "exp_avg_sq"]));
    assert_eq!(checkpoint["validation"]["accuracy"].as_f64(), Some(run.sums.correct as f64 / 360.0));
    let directory = json(&["inspect", &run.path()]);
    assert_eq!((&directory["finished"], &directory["results"]["digest"]), (&true.into(), &model["digest"]));
    assert_eq!(directory["checkpoints"], value!([{ "step": run.steps, "digest": model["digest"] }]));
    for path in [&run.path(), &folder, &format!("{}/model.safetensors", run.path())] {
        assert!(stdout(&["inspect", path]).contains(model["digest"].as_str().unwrap()));
    }

    let optimizer = Path::new(&folder).join("optimizer.safetensors");
    let mut bytes = std::fs::read(&optimizer).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&optimizer, bytes).unwrap();
    let error = refused(&["inspect", &folder]);
    assert!(error.contains("optimizer.safetensors: its bytes have changed"), "{error}");
    let directory = json(&["inspect", &run.path()]);
    assert!(directory["checkpoints"][0]["damaged"].as_str().unwrap().contains("its bytes have changed"));
}

#[test]
fn what_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(&["inspect", folder.path().to_str().unwrap()]);
    assert!(error.contains("not a run directory or checkpoint"), "{error}");
    let error = refused(&["inspect", &example("digits-tset.csv")]);
    assert!(error.contains("did you mean"), "{error}");
    let error = refused(&["inspect", &example("digit.toml")]);
    assert!(error.contains("digit.toml"), "{error}");
}
