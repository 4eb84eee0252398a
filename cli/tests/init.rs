//! `lockstep init`: a run file that trains well as it stands.

#![allow(clippy::unwrap_used, reason = "it is a test that fails")]

mod common;

use std::path::Path;

use lockstep_core::metrics::Kind;

use common::{Trained, example, lockstep, refused, stdout};

fn init(folder: &Path, data: &str, target: &str) -> String {
    let out = folder.join("run.toml").display().to_string();
    let said = stdout(&["init", data, "--target", target, "--out", &out]);
    assert!(said.contains(&format!("lockstep train {out}")), "{said}");
    std::fs::read_to_string(out).unwrap()
}

#[test]
fn two_classes() {
    let folder = tempfile::tempdir().unwrap();
    let text = init(folder.path(), &example("breast-cancer-train.csv"), "diagnosis");
    assert!(text.contains("2 classes") && text.contains("\"mean_radius\" = \"numeric\""), "{text}");
    let run = Trained::new(&text, &[], folder.path());
    let accuracy = run.sums.correct as f64 / run.sums.rows as f64;
    assert!(accuracy >= 0.94, "{accuracy}");
    // It stays.
    let out = folder.path().join("run.toml").display().to_string();
    let (code, _, error) =
        lockstep(&["init", &example("breast-cancer-train.csv"), "--target", "diagnosis", "--out", &out]);
    assert_eq!(code, 2, "{error}");
}

#[test]
fn ten_classes() {
    let folder = tempfile::tempdir().unwrap();
    let text = init(folder.path(), &example("digits-train.csv"), "label");
    // The corner of every picture is empty.
    assert!(text.contains("\"pixel_0_0\" = \"ignore\"  # always the same"), "{text}");
    let run = Trained::new(&text, &[], folder.path());
    let accuracy = run.sums.correct as f64 / run.sums.rows as f64;
    assert!(accuracy >= 0.94, "{accuracy}");
}

/// Numbers with gaps, categories, dates, and text that says nothing.
#[test]
fn a_number_from_columns_of_all_kinds() {
    let row = |i: u32| {
        let (x, kind, day) = (i * 7919 % 1000, ["low", "high"][i as usize % 2], i % 28 + 1);
        let y = f64::from(x) / 250.0 + if kind == "high" { 3.0 } else { 0.0 };
        let x = if i % 10 == 3 { String::new() } else { x.to_string() };
        format!("{x},{kind},2024-02-{day:02},name {i},town {},{y}\n", i % 70)
    };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("a b.csv");
    std::fs::write(&data, "x,kind,day,name,town,y\n".to_owned() + &(0..2000).map(row).collect::<String>())
        .unwrap();
    let text = init(folder.path(), &data.display().to_string(), "y");
    for line in [
        "\"x\" = { numeric = { missing = \"median\", indicator = true } }  # 200 missing",
        "\"kind\" = { categorical = { most = 100 } }  # 2 different",
        "\"day\" = \"date_time\"",
        "\"town\" = { categorical = { embedding = 8 } }  # 70 different, a learnt vector for each",
        "\"name\" = \"ignore\"  # text that hardly repeats",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let run = Trained::new(&text, &[], folder.path());
    // Most of what is left is in the rows without x.
    assert!(text.contains("target_scale = \"standardize\"\n"), "{text}");
    let r2 = run.sums.report(Kind::Numbers { unit: 1.0 }).unwrap().r2.unwrap();
    assert!(r2 > 0.9, "{r2}");
}

#[test]
fn what_cannot_be_learnt() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let data = write("a.csv", "x,label\n1,a\n2,a\n");
    let out = folder.path().join("run.toml").display().to_string();
    let error = refused(&["init", &data, "--target", "lable", "--out", &out]);
    assert!(error.contains("column \"lable\": there is no such column; did you mean \"label\"?"), "{error}");
    let error = refused(&["init", &data, "--target", "label", "--out", &out]);
    assert!(error.contains("fewer than two different values"), "{error}");
    assert!(!Path::new(&out).exists());
}
