//! Bits that change on disk: every one is found, or changes nothing that is read.

use super::*;

/// One bit of every byte.
fn flips(good: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    (0..good.len()).map(|place| (place, 1 << (place % 8)))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[test]
fn no_changed_bit_is_believed() {
    let fixture = Fixture::new().left_after(&[4]);
    let folder = fixture.checkpoint(4);
    let mut found = 0;
    for name in [names::MODEL, names::OPTIMIZER, names::STATE, names::MANIFEST] {
        let path = folder.join(name);
        let good = fs::read(&path).unwrap();
        for (place, bit) in flips(&good) {
            let mut bad = good.clone();
            bad[place] ^= bit;
            // Between two values of JSON one space is as good as another.
            if name == names::MANIFEST && is_space(bad[place]) && is_space(good[place]) {
                continue;
            }
            fs::write(&path, &bad).unwrap();
            let error = open_checkpoint(&folder).map(|_| ());
            let error = error.expect_err(&format!("{name}, byte {place}, bit {bit}")).to_string();
            assert!(error.contains("checkpoint-4"), "{error}");
            found += 1;
        }
        fs::write(&path, &good).unwrap();
    }
    assert!(found > 4_000, "{found}");
    assert_eq!(open_checkpoint(&folder).unwrap().step, 4);
}

/// A model's file has no manifest beside it.
#[test]
fn no_changed_bit_of_a_model_is_believed() {
    let fixture = Fixture::new().left_after(&[4]);
    let path = fixture.folder.path().join("model.safetensors");
    let good = fs::read(fixture.checkpoint(4).join(names::MODEL)).unwrap();
    fs::write(&path, &good).unwrap();
    let expected = open_model(&path).unwrap();
    let mut refused = 0;
    for (place, bit) in flips(&good) {
        let mut bad = good.clone();
        bad[place] ^= bit;
        fs::write(&path, &bad).unwrap();
        match open_model(&path) {
            Err(_) => refused += 1,
            // Padding, and words for other programs.
            Ok(model) => {
                assert_eq!(bits(&model.weights), bits(&expected.weights), "byte {place}, bit {bit}");
                assert_eq!((&model.run, &model.encoder), (&expected.run, &expected.encoder));
                assert_eq!((model.step, model.digest), (expected.step, expected.digest));
            }
        }
    }
    assert!(refused > 1_500, "{refused}");
}

/// A version that is not known is neither read nor put aside.
#[test]
fn another_version_is_refused() {
    let fixture = Fixture::new().left_after(&[2, 4]);
    let path = fixture.checkpoint(4).join(names::MANIFEST);
    let text = fs::read_to_string(&path).unwrap();
    for format in ["3", "1"] {
        let other = text.replacen("\"format\": 2", &format!("\"format\": {format}, \"more\": []"), 1);
        fs::write(&path, other).unwrap();
        let error = fixture.open(true).unwrap_err();
        assert_eq!(error.exit_code(), 78);
        let says = format!("checkpoint-4/manifest.json: a checkpoint of format {format}, and this version");
        assert!(error.to_string().contains(&says), "{error}");
        assert_eq!(fixture.entries(), ["checkpoint-2", "checkpoint-4"]);
    }
}

#[test]
fn swapped_files_are_not_believed() {
    let all = [names::MODEL, names::OPTIMIZER, names::STATE, names::MANIFEST];
    for (one, other) in [(0, 1), (0, 2), (1, 3), (2, 3)] {
        let fixture = Fixture::new().left_after(&[2, 4]);
        let [one, other] = [one, other].map(|index: usize| fixture.checkpoint(4).join(all[index]));
        let aside = fixture.path().join("aside");
        fs::rename(&one, &aside).unwrap();
        fs::rename(&other, &one).unwrap();
        fs::rename(&aside, &other).unwrap();
        let opened = fixture.open(true).unwrap();
        assert_eq!((opened.checkpoint.unwrap().step, opened.skipped.len()), (2, 1));
    }
    // Between two checkpoints.
    for name in all {
        let fixture = Fixture::new().left_after(&[2, 4]);
        let [older, newer] = [2, 4].map(|step| fixture.checkpoint(step).join(name));
        let bytes = fs::read(&older).unwrap();
        fs::copy(&newer, &older).unwrap();
        fs::write(&newer, bytes).unwrap();
        let opened = fixture.open(true).unwrap();
        assert!(opened.checkpoint.is_none(), "{name}");
        assert_eq!(opened.skipped.len(), 2, "{name}");
    }
}

#[test]
fn a_file_that_is_a_folder_is_no_checkpoint() {
    let fixture = Fixture::new().left_after(&[2, 4]);
    let path = fixture.checkpoint(4).join(names::STATE);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(fixture.open(true).unwrap().checkpoint.unwrap().step, 2);
}

/// Two checkpoints' files, each with its right hash, do not make a third.
#[test]
fn mixed_checkpoints_are_not_believed() {
    let fixture = Fixture::new();
    let opened = fixture.open(false).unwrap();
    fixture.save(&opened.directory, 2, true);
    let folder = fixture.checkpoint(2);
    let first = Manifest::read(&folder).unwrap();
    let weights = fs::read(folder.join(names::MODEL)).unwrap();
    let mut other = fixture.snapshot(2);
    other.weights[0] += 1.0;
    opened.directory.write_checkpoint(&Save { progress: progress(2), milestone: true }, &other).unwrap();
    let mut mixed = Manifest::read(&folder).unwrap();
    assert_ne!(mixed.digest, first.digest);
    mixed.files.insert(names::MODEL.into(), first.files[names::MODEL].clone());
    fs::write(folder.join(names::MODEL), weights).unwrap();
    fs::write(folder.join(names::MANIFEST), serde_json::to_vec(&mixed).unwrap()).unwrap();
    let error = open_checkpoint(&folder).unwrap_err();
    assert!(error.to_string().contains("manifest.json: the tensors' digest is"), "{error}");
    // Nor does one of another run, or of another step.
    drop(opened);
    let other = Fixture::with(&["model.layers=[{linear=4},\"relu\",{linear=2}]"]).left_after(&[]);
    let fixture = Fixture::new().left_after(&[2]);
    fs::rename(fixture.checkpoint(2), other.checkpoint(2)).unwrap();
    let error = other.open(true).unwrap().skipped.remove(0).to_string();
    assert!(error.contains("belongs to another run: model.layers is"), "{error}");
    let fixture = Fixture::new().left_after(&[2]);
    fs::rename(fixture.checkpoint(2), fixture.checkpoint(3)).unwrap();
    let error = fixture.open(true).unwrap().skipped.remove(0).to_string();
    assert!(error.ends_with("checkpoint-3: found step 2, expected 3"), "{error}");
}
