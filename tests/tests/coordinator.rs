//! The coordinator stops, dies and comes back; the run ends as if nothing had happened.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::fs;
use std::path::PathBuf;

use lockstep_tests::cluster::{Moments, Oracle, Process, RunFile, Site, is_alive, workers_of};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Long enough that every fault meets it at work.
fn long() -> RunFile {
    RunFile { epochs: 250, every_steps: 50, heartbeat_ms: 100, ..RunFile::default() }
}

fn checkpoints(site: &Site) -> Vec<PathBuf> {
    let entries = fs::read_dir(site.run_dir()).into_iter().flatten().flatten().map(|entry| entry.path());
    let name = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("checkpoint-"))
    };
    entries.filter(name).collect()
}

fn until_gone(site: &Site, workers: &[Pid]) {
    assert!(!workers.is_empty());
    site.until("no worker is left", || workers.iter().all(|pid| !is_alive(*pid)).then_some(()));
}

#[test]
fn a_signal_writes_a_checkpoint_and_a_resume_goes_on() {
    let mut moments = Moments::new();
    let run = RunFile { layers: RunFile::NORMALISED, ..long() };
    let site = Site::new(&run.text());
    let mut train = site.train(&["--workers", "3"]);
    site.until_step(10 + moments.below(500));
    let workers = workers_of(train.pid());
    assert_eq!(workers.len(), 3);
    train.signal(Signal::SIGINT);
    assert_eq!(site.end(&mut train).code(), Some(75), "{}", site.logs());
    assert!(train.errors().contains("--resume"), "{}", train.errors());
    until_gone(&site, &workers);
    let stopped = checkpoints(&site);
    assert!(!stopped.is_empty());

    // Without --resume the directory is not touched; the message names both ways on.
    let (status, refused) = site.trained(&[]);
    assert_eq!(status.code(), Some(2), "{}", refused.errors());
    for word in ["--resume", "--run-dir"] {
        assert!(refused.errors().contains(word), "{}", refused.errors());
    }
    // Another run is not a continuation of this one.
    let (status, refused) = site.trained(&["--resume", "--set", "train.optimizer.adamw.lr=0.25"]);
    assert_eq!(status.code(), Some(78), "{}", refused.errors());
    for word in ["train.optimizer", "0.003", "0.25"] {
        assert!(refused.errors().contains(word), "{word}: {}", refused.errors());
    }
    assert_eq!(checkpoints(&site), stopped);

    // Once more by the other signal, on a coordinator and workers of their own.
    let (mut coordinator, address) = site.coordinator(None, &["--resume"]);
    let mut workers = ["a", "b"].map(|name| site.worker(name, address, &[]));
    let step = site.step();
    site.until_step(step + 10 + moments.below(500));
    coordinator.signal(Signal::SIGTERM);
    assert_eq!(site.end(&mut coordinator).code(), Some(75), "{}", site.logs());
    for worker in &mut workers {
        assert_eq!(site.end(worker).code(), Some(75), "{}", worker.errors());
    }

    let (status, _) = site.trained(&["--resume", "--workers", "1", "--threads", "2"]);
    assert!(status.success(), "{}", site.logs());
    Oracle::new(&site).assert_equal(&site);
    each_line_once(&site);
}

/// What was done again is not told twice.
fn each_line_once(site: &Site) {
    for name in ["metrics.jsonl", "digests.jsonl"] {
        let text = fs::read_to_string(site.run_dir().join(name)).unwrap();
        let key = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            (line["step"].as_u64().unwrap(), line.get("validation").is_some())
        };
        let keys: Vec<_> = text.lines().map(key).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{name}: {keys:?}");
    }
}

#[test]
fn the_coordinator_is_killed_and_its_workers_reconnect() {
    let mut moments = Moments::new();
    // A frozen worker must not be lost: it holds the run up until the other has joined too.
    let layers = RunFile::NORMALISED;
    let run = RunFile { wire: "bf16", epochs: 400, heartbeat_ms: 60_000, layers, ..long() };
    let site = Site::new(&run.text());
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut workers = ["a", "b"].map(|name| site.worker(name, address, &[]));
    let joined = |name: &str, times| site.log().matches(&format!("worker {name} on")).count() >= times;
    let until_both = |workers: &mut [Process; 2], times| {
        let first = site.until("a worker joins", || ["a", "b"].iter().position(|name| joined(name, times)));
        workers[first].signal(Signal::SIGSTOP);
        site.until("the other joins", || (joined("a", times) && joined("b", times)).then_some(()));
        workers[first].signal(Signal::SIGCONT);
    };
    for round in 1..3 {
        until_both(&mut workers, round);
        let step = site.step();
        site.until_step(step + 10 + moments.below(300));
        moments.pause(std::time::Duration::from_millis(5));
        coordinator.kill();
        (coordinator, _) = site.coordinator(Some(address), &["--resume"]);
    }
    until_both(&mut workers, 3);
    site.succeed(&mut coordinator);
    workers.iter_mut().for_each(|worker| site.succeed(worker));
    assert!(workers.iter().all(|worker| worker.errors().matches("joined the run test").count() >= 3));
    Oracle::new(&site).assert_equal(&site);
    each_line_once(&site);
}

/// It finishes the step that its workers left open, or gives it up; either way it keeps what is done.
#[test]
fn a_signal_without_workers_keeps_what_is_done() {
    let site = Site::new(&RunFile { every_steps: 100_000, ..long() }.text());
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut worker = site.worker("a", address, &[]);
    site.until_step(20);
    worker.kill();
    site.until_logged("worker a is gone", 1);
    let step = site.step();
    coordinator.signal(Signal::SIGTERM);
    assert_eq!(site.end(&mut coordinator).code(), Some(75), "{}", site.logs());
    let mut train = site.train(&["--resume", "--workers", "1"]);
    site.until("it says where it goes on", || train.errors().contains("going on after step").then_some(()));
    let errors = train.errors();
    let (_, rest) = errors.split_once("going on after step ").unwrap();
    let resumed: u64 = rest.split_once(' ').unwrap().0.parse().unwrap();
    assert!(resumed >= step, "{resumed} of {step}");
    site.succeed(&mut train);
    Oracle::new(&site).assert_equal(&site);
}

#[test]
fn no_worker_outlives_its_train() {
    for kill in [true, false] {
        let site = Site::new(&long().text());
        let mut train = site.train(&["--workers", "2"]);
        // Once right after the start, once in the middle.
        if kill {
            site.until_step(10);
        } else {
            site.until("workers are there", || (workers_of(train.pid()).len() == 2).then_some(()));
        }
        let workers = workers_of(train.pid());
        if kill {
            train.kill();
        } else {
            train.signal(Signal::SIGINT);
            site.end(&mut train);
        }
        until_gone(&site, &workers);
    }
}

/// A second signal does not wait.
#[test]
fn a_second_signal_ends_at_once() {
    for (second, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let site = Site::new(&RunFile { heartbeat_ms: 60_000, ..long() }.text());
        let (mut coordinator, address) = site.coordinator(None, &[]);
        let mut worker = site.worker("a", address, &[]);
        site.until_step(10);
        // It cannot end in order: its only worker holds the step and is frozen.
        worker.signal(Signal::SIGSTOP);
        let step = site.step();
        coordinator.signal(Signal::SIGINT);
        site.until_logged("stopping in step", 1);
        coordinator.signal(second);
        let found = site.end(&mut coordinator).code();
        // The worker may have finished the step before it froze; then the first signal was enough.
        assert!(
            found == Some(code) || (found == Some(75) && site.step() > step),
            "{found:?}\n{}",
            site.logs()
        );
    }
}

#[test]
fn a_damaged_checkpoint_is_put_aside() {
    let site = Site::new(&RunFile { epochs: 100, ..long() }.text());
    let mut train = site.train(&["--workers", "2"]);
    site.until_logged("checkpoint of step 150 is written", 1);
    train.kill();
    let mut found = checkpoints(&site);
    let step = |path: &PathBuf| path.to_string_lossy().rsplit_once('-').unwrap().1.parse::<u64>().unwrap();
    found.sort_by_key(step);
    assert!(found.len() >= 2, "{found:?}");
    let newest = found.pop().unwrap();
    let file = newest.join("model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();

    let (status, train) = site.trained(&["--resume", "--workers", "1"]);
    assert!(status.success(), "{}", site.logs());
    assert!(
        train.errors().contains("put aside") && train.errors().contains("model.safetensors"),
        "{}",
        train.errors()
    );
    assert!(train.errors().contains(&format!("going on after step {} ", step(found.last().unwrap()))));
    assert!(PathBuf::from(format!("{}.damaged", newest.display())).is_dir());
    Oracle::new(&site).assert_equal(&site);
}

/// Two coordinators never write to one directory.
#[test]
fn a_directory_in_use_is_refused() {
    let site = Site::new(&long().text());
    let (_coordinator, _) = site.coordinator(None, &[]);
    let mut second: Process = site.start("second", &["train", "run.toml", "--run-dir", "run", "--resume"]);
    assert_eq!(site.end(&mut second).code(), Some(1), "{}", second.errors());
    assert!(second.errors().contains("in use by another coordinator"), "{}", second.errors());
}

/// Killed while a checkpoint is written, again and again; the record is that of an undisturbed run.
#[test]
fn killed_while_a_checkpoint_is_written() {
    const KILLS: u32 = 8;
    let mut moments = Moments::new();
    let run = RunFile { epochs: 60, every_steps: 10, heartbeat_ms: 60_000, ..long() };
    let digests = |site: &Site| fs::read_to_string(site.run_dir().join("digests.jsonl")).unwrap();
    let undisturbed = Site::new(&run.text());
    let (status, train) = undisturbed.trained(&["--workers", "1"]);
    assert!(status.success(), "{}", train.errors());

    let site = Site::new(&run.text());
    let (mut inside, mut kills) = (0, 0);
    let unfinished = |site: &Site| {
        let entries = fs::read_dir(site.run_dir()).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".checkpoint-")).count() > 0
    };
    while kills < KILLS {
        let mut train = site.train(&["--resume", "--workers", "1"]);
        let pid = train.pid();
        // Each time some checkpoints later, so that the run goes on between two kills.
        let mut left = 2 + moments.below(3);
        let mut was = false;
        let over = site.until("a checkpoint is begun", || {
            for _ in 0..2000 {
                let is = unfinished(&site);
                left -= u64::from(is && !was && left > 0);
                was = is;
                if left == 0 || train.ended().is_some() {
                    return Some(left > 0);
                }
                std::thread::sleep(std::time::Duration::from_micros(20));
            }
            None
        });
        if over {
            break;
        }
        moments.pause(std::time::Duration::from_micros(1500));
        let workers = workers_of(pid);
        train.kill();
        kills += 1;
        inside += u32::from(unfinished(&site));
        site.until("no worker is left", || workers.iter().all(|pid| !is_alive(*pid)).then_some(()));
    }
    let (status, train) = site.trained(&["--resume", "--workers", "2"]);
    assert!(status.success(), "{}", train.errors());
    assert!(inside > 0, "none of {kills} kills met a checkpoint that was being written");
    assert_eq!(site.results().digest, undisturbed.results().digest);
    assert_eq!(digests(&site), digests(&undisturbed));
    each_line_once(&site);
}

#[test]
fn a_time_limit_stops_and_a_resume_goes_on() {
    let run = RunFile { epochs: 150, ..long() };
    let site = Site::new(&run.text());
    let mut stops = 0;
    loop {
        let (status, train) = site.trained(&["--resume", "--workers", "1", "--time-limit", "1500ms"]);
        if status.success() {
            break;
        }
        assert_eq!(status.code(), Some(75), "{}", train.errors());
        assert!(train.errors().contains("the time limit is reached"), "{}", train.errors());
        stops += 1;
        if stops == 2 {
            let (status, train) = site.trained(&["--resume", "--workers", "2"]);
            assert!(status.success(), "{}", train.errors());
            break;
        }
    }
    Oracle::new(&site).assert_equal(&site);
    let (status, refused) = site.trained(&["--time-limit", "soon"]);
    assert_eq!(status.code(), Some(2), "{}", refused.errors());
}

/// Evaluations that bring nothing better end the run at the same step on every cluster, with a digest
/// in the chain, and `verify` computes the same.
#[test]
fn patience_ends_a_run_at_the_same_step_everywhere() {
    let run = RunFile { epochs: 9, every_steps: 10, ..RunFile::default() };
    // After the first evaluation none is better by so much: the third is the last, after 36 steps.
    let early = "early_stopping = { patience = 2, min_delta = 9.0 }\n\n[cluster]";
    let text = run.text().replace("[cluster]", early);
    let ended = ["1", "3"].map(|workers| {
        let site = Site::new(&text);
        let (status, train) = site.trained(&["--workers", workers]);
        assert!(status.success(), "{}", train.errors());
        assert_eq!(site.results().steps, 36);
        let verified = site.command(&["verify", "run"]).output().unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
        // A resume finds nothing to do.
        let (status, _) = site.trained(&["--resume", "--workers", "1"]);
        assert!(status.success() && site.results().steps == 36, "{}", site.logs());
        fs::read_to_string(site.run_dir().join("digests.jsonl")).unwrap()
    });
    assert_eq!(ended[0], ended[1]);
    assert_eq!(ended[0].lines().count(), 4);
}
