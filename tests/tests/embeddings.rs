//! Columns of very many values: tables over several chunks, in training, evaluation and prediction.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use lockstep_tests::cluster::{Oracle, Site};

/// Two chunks of 1 MiB, of which each step names a few vectors only.
const VALUES: u32 = 20_000;

const RUN: &str = r#"
name = "embeddings"
seed = 5

[data]
train = "rows.csv"
validation = "few.csv"
target = "label"
columns = { id = { categorical = { embedding = 16 } } }

[model]
loss = "cross_entropy"
layers = [{ linear = 8 }, "relu", { linear = 2 }]

[train]
epochs = 1
batch_size = 2000
optimizer = { adamw = { lr = 1e-2 } }

[cluster]
shards = 4
"#;

#[test]
fn a_table_over_several_chunks() {
    let line = |i: u32| format!("v{},{},{}\n", i * 7919 % VALUES, i % 13, ["no", "yes"][i as usize / 5 % 2]);
    let site = Site::new(RUN);
    site.write("rows.csv", "id,x,label\n".to_owned() + &(0..VALUES + 500).map(line).collect::<String>());
    // One that the training rows do not have, and one that is not there.
    let few = "id,x,label\nv7,1,no\nnew,2,yes\n,3,yes\n";
    site.write("few.csv", few);
    let (status, train) = site.trained(&["--workers", "2"]);
    assert!(status.success(), "{}", train.errors());
    Oracle::new(&site).assert_equal(&site);

    let output = site.command(&["evaluate", "run", "few.csv", "--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let alone: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let results = std::fs::read(site.run_dir().join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_slice(&results).unwrap();
    assert_eq!(alone["loss"], results["validation"]["loss"]);

    let output = site.command(&["predict", "run", "few.csv", "--out", "-"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 4, "{output:?}");
    let output = site.command(&["inspect", "run/model.safetensors"]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("embeddings.id.weight") && shown.contains("[20001, 16]"), "{shown}");
}
