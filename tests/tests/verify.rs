//! `lockstep verify` finds what was changed, and names it; and never changes anything itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lockstep_tests::cluster::{RunFile, Site};
use serde_json::Value;

/// A finished run on data beside it: 48 steps, digests after 20, 40 and 48, the best kept too.
fn finished() -> Site {
    let run = RunFile { epochs: 4, every_steps: 20, ..RunFile::default() };
    let mut text = run.text();
    for name in ["digits-train.csv", "digits-test.csv"] {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
        text = text.replace(&format!("{example:?}"), &format!("{name:?}"));
    }
    let site = Site::new(&(text + "best = \"validation.loss\"\nkeep = 2\n"));
    for name in ["digits-train.csv", "digits-test.csv"] {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
        fs::copy(example, site.folder().join(name)).unwrap();
    }
    let (status, train) = site.trained(&["--workers", "2"]);
    assert!(status.success(), "{}", train.errors());
    site
}

/// Every file below a folder.
fn contents(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            contents(&entry, found);
        } else {
            found.insert(entry.clone(), fs::read(&entry).unwrap());
        }
    }
}

/// Runs the command; exit code, stdout and stderr. It must not change the run directory.
fn verify(site: &Site, arguments: &[&str]) -> (i32, String, String) {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    contents(&site.run_dir(), &mut before);
    let output = site.command(&[&["verify", "run"], arguments].concat()).output().unwrap();
    contents(&site.run_dir(), &mut after);
    assert!(before == after, "verify has written into the run directory");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn json(site: &Site, arguments: &[&str]) -> (i32, Value) {
    let (code, stdout, stderr) = verify(site, &[arguments, &["--json"]].concat());
    (code, serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}")))
}

/// The kinds and texts of what differs, which must be something.
fn differs(site: &Site, arguments: &[&str]) -> Vec<(String, String)> {
    let (code, found) = json(site, arguments);
    assert_eq!((code, &found["verified"]), (1, &Value::Bool(false)), "{found:#}");
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = found["findings"].as_array().unwrap();
    findings.iter().map(|finding| (text(finding, "what"), text(finding, "text"))).collect()
}

fn change(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{}: {text}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Puts a file back when it is dropped.
struct Kept(PathBuf, Vec<u8>);

impl Kept {
    fn new(path: PathBuf) -> Self {
        let bytes = fs::read(&path).unwrap();
        Self(path, bytes)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        fs::write(&self.0, &self.1).unwrap();
    }
}

#[test]
fn what_is_true_is_verified() {
    let site = finished();
    let (code, stdout, stderr) = verify(&site, &[]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("verified  yes"), "{stdout}");
    let steps = |arguments: &[&str]| {
        let (code, found) = json(&site, arguments);
        assert_eq!(code, 0, "{found:#}");
        let number = |key: &str| found["steps"][key].as_u64().unwrap();
        (number("from"), number("to"), number("equal"))
    };
    // Three lines and two checkpoints; the best is one of these or a third.
    let (from, to, equal) = steps(&["--threads", "2"]);
    assert!((from, to) == (0, 48) && (5..=6).contains(&equal), "{from} {to} {equal}");
    // From the nearest checkpoint to the next recorded digest.
    assert_eq!(steps(&["--steps", "45..46"]), (40, 48, 2));
    let (_, _, stderr) = verify(&site, &["--steps", "5..20"]);
    assert!(stderr.contains("no checkpoint at or before step 5 is kept: beginning at step 0"), "{stderr}");
    for (steps, code) in [("48..49", 2), ("0..100", 2), ("9..9", 2), ("x", 2)] {
        let (found, _, stderr) = verify(&site, &["--steps", steps]);
        assert_eq!(found, code, "{steps}: {stderr}");
    }
    // Elsewhere, with the folder of the data given.
    fs::create_dir(site.folder().join("moved")).unwrap();
    for name in ["digits-train.csv", "digits-test.csv"] {
        fs::rename(site.folder().join(name), site.folder().join("moved").join(name)).unwrap();
    }
    assert_eq!(verify(&site, &[]).0, 78);
    assert_eq!(verify(&site, &["--base", "moved", "--steps", "40.."]).0, 0);
    assert_eq!(site.command(&["verify", "moved"]).output().unwrap().status.code(), Some(78));
}

#[test]
fn what_was_changed_is_named() {
    let site = finished();
    let file = |name: &str| site.run_dir().join(name);
    let only = |arguments: &[&str], what: &str, says: &[&str]| {
        let found = differs(&site, arguments);
        assert!(found.iter().all(|(kind, _)| kind == what), "{found:?}");
        for word in says {
            assert!(found.iter().any(|(_, text)| text.contains(word)), "{word}: {found:?}");
        }
    };
    // A bit of a checkpoint.
    for name in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        let kept = Kept::new(file("checkpoint-40").join(name));
        let mut bytes = kept.1.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(&kept.0, bytes).unwrap();
        only(&[], "checkpoint", &["checkpoint-40", name, "changed"]);
    }
    // A row, with the same columns and classes.
    for (name, what) in [("digits-train.csv", "training rows"), ("digits-test.csv", "validation rows")] {
        let kept = Kept::new(site.folder().join(name));
        let text = String::from_utf8(kept.1.clone()).unwrap();
        let mut lines: Vec<String> = text.lines().map(Into::into).collect();
        lines.swap(7, 8);
        fs::write(&kept.0, lines.join("\n") + "\n").unwrap();
        only(&[], "data", &[name, what]);
    }
    // The run file: what it means, and what does not matter.
    {
        let kept = Kept::new(file("run.toml"));
        change(&kept.0, "lr = 0.003", "lr = 0.004");
        only(&[], "run_file", &["run.toml", "train.optimizer", "0.004", "0.003"]);
    }
    {
        let kept = Kept::new(file("run.toml"));
        change(&kept.0, "keep = 2", "keep = 9");
        assert_eq!(verify(&site, &["--steps", "40.."]).0, 0);
        fs::write(&kept.0, "seed = ").unwrap();
        assert_eq!(verify(&site, &[]).0, 78);
    }
    // A line of digests: its digest, its link, one left out, the last left out, a torn end.
    let lines: Vec<String> =
        fs::read_to_string(file("digests.jsonl")).unwrap().lines().map(Into::into).collect();
    let flipped = |line: &str, key: &str| {
        let place = line.find(key).unwrap() + key.len();
        let digit = if line.as_bytes()[place] == b'0' { "1" } else { "0" };
        format!("{}{digit}{}", &line[..place], &line[place + 1..])
    };
    let digest = flipped(&lines[1], "\"digest\":\"sha256:");
    let link = flipped(&lines[1], "\"chain\":\"sha256:");
    let cases: Vec<(Vec<&str>, &[&str])> = vec![
        (vec![&lines[0], &digest, &lines[2]], &["digests.jsonl: line 2", "checkpoint-40"]),
        (vec![&lines[0], &link, &lines[2]], &["digests.jsonl: line 2"]),
        (vec![&lines[0], &lines[2]], &["digests.jsonl: line 2"]),
        (vec![&lines[1], &lines[0], &lines[2]], &["digests.jsonl: line 1"]),
    ];
    for (changed, says) in cases {
        let kept = Kept::new(file("digests.jsonl"));
        fs::write(&kept.0, changed.join("\n") + "\n").unwrap();
        only(&[], "digests", says);
    }
    {
        let kept = Kept::new(file("digests.jsonl"));
        fs::write(&kept.0, lines[..2].join("\n") + "\n").unwrap();
        let found = differs(&site, &[]);
        assert!(
            found.iter().any(|(what, text)| what == "results" && text.contains("results.json")),
            "{found:?}"
        );
        assert!(
            found.iter().any(|(what, text)| what == "checkpoint" && text.contains("checkpoint-48")),
            "{found:?}"
        );
    }
    // What else there is.
    {
        let kept = Kept::new(file("env.json"));
        change(&kept.0, "\"run\": \"sha256:", "\"run\": \"sha256:0");
        assert_eq!(verify(&site, &[]).0, 78);
        fs::write(&kept.0, &kept.1).unwrap();
        let stored = String::from_utf8(kept.1.clone()).unwrap();
        fs::write(&kept.0, flipped(&stored, "\"train\": \"sha256:")).unwrap();
        only(&[], "environment", &["env.json"]);
    }
    {
        let kept = Kept::new(file("results.json"));
        change(&kept.0, "\"steps\": 48", "\"steps\": 47");
        only(&[], "results", &["results.json"]);
    }
    for name in ["model.safetensors", "best.safetensors"] {
        let kept = Kept::new(file(name));
        let mut bytes = kept.1.clone();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&kept.0, bytes).unwrap();
        only(&[], "model", &[name]);
    }
    assert_eq!(verify(&site, &[]).0, 0);
}

/// Somebody who also mends the chain is found by computing the steps.
#[test]
fn a_forged_chain_is_found() {
    let site = finished();
    let path = site.run_dir().join("digests.jsonl");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("chain.py");
    let python = |arguments: &[&str]| {
        let output =
            std::process::Command::new("python3").arg(&script).arg(site.run_dir()).args(arguments).output();
        output.map(|output| {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        })
    };
    // The script knows nothing but env.json and digests.jsonl, and gives the same lines.
    let Ok(lines) = python(&[]) else {
        println!("NOT TESTED: there is no python3 to run tests/chain.py");
        return;
    };
    assert_eq!(lines, fs::read_to_string(&path).unwrap());
    let forged = format!("sha256:{}", "ab".repeat(32));
    fs::write(&path, python(&["20", &forged]).unwrap()).unwrap();
    for name in ["checkpoint-20", "checkpoint-40", "checkpoint-48", "results.json"] {
        let path = site.run_dir().join(name);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
    let found = differs(&site, &["--steps", "..20"]);
    assert!(
        found.iter().any(|(what, text)| what == "steps" && text.contains("line 1") && text.contains(&forged)),
        "{found:?}"
    );
}
