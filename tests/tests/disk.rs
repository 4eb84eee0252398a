//! A disk that is full or read-only: the run goes on or says why not, and loses nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::fs;
use std::path::Path;

use lockstep_tests::cluster::{Disk, Oracle, RunFile, Site};

fn run() -> RunFile {
    RunFile { epochs: 250, every_steps: 50, heartbeat_ms: 60_000, ..RunFile::default() }
}

fn undisturbed() -> String {
    let site = Site::new(&run().text());
    let (status, train) = site.trained(&["--workers", "1"]);
    assert!(status.success(), "{}", train.errors());
    fs::read_to_string(site.run_dir().join("digests.jsonl")).unwrap()
}

#[test]
fn a_full_disk_holds_nothing_up() {
    let site = Site::new(&run().text());
    let Some(disk) = Disk::new(&site.run_dir(), "4m") else { return };
    let digests = || fs::read_to_string(site.run_dir().join("digests.jsonl")).unwrap();
    // For a while only.
    let mut train = site.train(&["--workers", "1"]);
    site.until_step(60);
    disk.fill();
    site.until("a checkpoint fails", || {
        assert!(train.ended().is_none(), "{}", train.errors());
        train.errors().contains("could not be written").then_some(())
    });
    disk.make_room();
    site.succeed(&mut train);
    Oracle::new(&site).assert_equal(&site);
    assert_eq!(digests(), undisturbed());
}

#[test]
fn a_disk_that_stays_full_is_named_and_a_resume_goes_on() {
    let site = Site::new(&run().text());
    let Some(disk) = Disk::new(&site.run_dir(), "4m") else { return };
    let mut train = site.train(&["--workers", "1"]);
    site.until_step(60);
    disk.fill();
    assert_eq!(site.end(&mut train).code(), Some(1), "{}", train.errors());
    let errors = train.errors();
    assert!(errors.lines().last().unwrap().contains("could not be written"), "{errors}");
    assert!(errors.contains("No space left on device"), "{errors}");
    // Nor can it start while there is no room, and that changes nothing.
    let (status, refused) = site.trained(&["--resume", "--workers", "1"]);
    assert_eq!(status.code(), Some(1), "{}", refused.errors());
    assert!(refused.errors().contains("No space left on device"), "{}", refused.errors());
    disk.make_room();
    let (status, train) = site.trained(&["--resume", "--workers", "1"]);
    assert!(status.success(), "{}", train.errors());
    Oracle::new(&site).assert_equal(&site);
    assert_eq!(fs::read_to_string(site.run_dir().join("digests.jsonl")).unwrap(), undisturbed());
}

#[test]
fn a_read_only_disk_is_read() {
    let site = Site::new(&RunFile { epochs: 4, ..run() }.text());
    let Some(disk) = Disk::new(&site.run_dir(), "4m") else { return };
    disk.read_only(true);
    let (status, refused) = site.trained(&["--workers", "1"]);
    assert_eq!(status.code(), Some(1), "{}", refused.errors());
    assert!(refused.errors().contains("Read-only file system"), "{}", refused.errors());
    disk.read_only(false);
    let (status, train) = site.trained(&["--resume", "--workers", "1"]);
    assert!(status.success(), "{}", train.errors());
    disk.read_only(true);
    let (status, refused) = site.trained(&["--resume", "--workers", "1"]);
    assert_eq!(status.code(), Some(1), "{}", refused.errors());
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/digits-test.csv");
    for arguments in [vec!["verify", "run"], vec!["evaluate", "run", data.to_str().unwrap()]] {
        let output = site.command(&arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
