//! The same rows in several formats, too many to be held, in files that are cut into the same blocks: one
//! digest, and one chain of digests, whatever the format and wherever the files lie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::fs;

use lockstep_tests::cluster::Site;
use lockstep_tests::objects::{Fault, Store};
use lockstep_tests::rows;

/// Five blocks of 4,096 rows and a short one.
const ROWS: usize = 21_000;
const BLOCKS: &str = "validation = 0.2, in_memory = 1000, shuffle_rows = 700";
/// Every block is read from its file whenever it is needed.
const NO_CACHE: (&str, &str) = ("LOCKSTEP_CACHE_BYTES", "0");

fn site(train: &str, variables: &[(&'static str, String)]) -> Site {
    Site::new(&rows::run(train, rows::TARGET, BLOCKS)).with(variables)
}

/// The chain of digests of a run that has ended; it also tells that the rows came in blocks.
fn chain(site: &Site) -> String {
    let catalog = fs::read_to_string(site.run_dir().join("data.json")).unwrap();
    assert_eq!(catalog.matches("\"whole\":false").count(), 2, "training and validation rows in blocks");
    fs::read_to_string(site.run_dir().join("digests.jsonl")).unwrap()
}

/// By a local cluster, whose workers read the files themselves.
fn trained(train: &str, workers: &str, variables: &[(&'static str, String)]) -> String {
    let site = site(train, variables);
    for (name, bytes) in rows::alike(ROWS) {
        site.write(name, bytes);
    }
    let (status, process) = site.trained(&["--workers", workers]);
    assert!(status.success(), "{train}: {}\n{}", process.errors(), site.logs());
    chain(&site)
}

/// By a worker that has no files.
fn served(train: &str, variables: &[(&'static str, String)]) -> String {
    let site = site(train, variables);
    for (name, bytes) in rows::alike(ROWS) {
        site.write(name, bytes);
    }
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut worker = site.worker("w", address, &[]);
    site.succeed(&mut coordinator);
    site.succeed(&mut worker);
    chain(&site)
}

#[test]
fn every_format_cut_alike_is_one_digest() {
    let expected = trained("rows.csv", "1", &[]);
    let all = rows::alike(ROWS);
    for ((name, _), workers) in all.iter().skip(1).zip(["2", "1", "3", "2", "1"]) {
        assert_eq!(trained(name, workers, &[]), expected, "{name}");
    }
    // Nothing but the cut: a row group of all rows has blocks of 16,384, which are shuffled otherwise.
    let whole = site("whole.parquet", &[]);
    let files = rows::files(ROWS);
    let (_, bytes) = files.iter().find(|(name, _)| *name == "rows.parquet").unwrap();
    whole.write("whole.parquet", bytes);
    let (status, _train) = whole.trained(&["--workers", "1"]);
    assert!(status.success(), "{}", whole.logs());
    assert_ne!(chain(&whole), expected);
}

#[test]
fn every_place_is_one_digest() {
    let store = Store::start(|_| Fault::None);
    for (name, bytes) in rows::alike(ROWS) {
        store.put(&format!("bucket/{name}"), bytes);
    }
    let no_cache = [(NO_CACHE.0, NO_CACHE.1.to_owned())];
    let remote = [&store.variables()[..], &no_cache].concat();
    let expected = trained("rows.csv", "2", &no_cache);
    for name in ["rows.csv", "rows.parquet", "rows.npy"] {
        assert_eq!(served(name, &no_cache), expected, "{name}, served");
        assert_eq!(trained(&format!("s3://bucket/{name}"), "2", &remote), expected, "{name}, over S3");
    }
    assert_eq!(served("s3://bucket/rows.arrow", &remote), expected, "from S3, served");
}

/// A size of the cache that is none is not taken for the default one.
#[test]
fn a_cache_of_no_size() {
    let site = site("rows.csv", &[("LOCKSTEP_CACHE_BYTES", "16GiB".into())]);
    for command in [&["train", "run.toml"][..], &["worker", "--coordinator", "127.0.0.1:1", "--wait", "1"]] {
        let output = site.command(command).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("LOCKSTEP_CACHE_BYTES: found \"16GiB\", expected a number of bytes"), "{said}");
    }
}
