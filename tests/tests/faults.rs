//! Workers die, freeze, come back and come late, at random moments; no bit changes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::time::Duration;

use lockstep_tests::cluster::{Moments, Oracle, RunFile, Site};
use nix::sys::signal::Signal;

/// Long enough that every fault meets it at work.
fn long() -> RunFile {
    RunFile { epochs: 400, heartbeat_ms: 100, ..RunFile::default() }
}

/// A step is about so long.
const STEP: Duration = Duration::from_millis(5);

#[test]
fn killed_frozen_and_late_workers() {
    let mut moments = Moments::new();
    let site = Site::new(&long().text());
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut killed = site.worker("killed", address, &[]);
    let mut frozen = site.worker("frozen", address, &["--threads", "2"]);
    let mut steady = site.worker("steady", address, &[]);
    site.until_logged(" joined with ", 3);

    site.until_step(10 + moments.below(200));
    moments.pause(STEP);
    killed.kill();
    site.until_logged("worker killed is gone", 1);

    let mut late = site.worker("late", address, &[]);
    site.until_logged("worker late on", 1);
    moments.pause(STEP);
    frozen.signal(Signal::SIGSTOP);
    site.until_logged("worker frozen is gone (silent for 300 ms)", 1);
    // Its old session is refused when it wakes, and it comes back under a new one.
    moments.pause(STEP);
    frozen.signal(Signal::SIGCONT);
    site.until_logged("worker frozen on", 2);

    // The old worker of a name that comes again is told so, and stays away.
    let mut again = site.worker("again", address, &[]);
    site.until_logged("worker again on", 1);
    let mut other = site.worker("again", address, &["--threads", "2"]);
    site.until_logged("worker again is gone (a new session came under its name)", 1);
    assert_eq!(site.end(&mut again).code(), Some(1), "{}", again.errors());
    assert!(again.errors().contains("a new session came under its name"), "{}", again.errors());

    for process in [&mut coordinator, &mut frozen, &mut steady, &mut late, &mut other] {
        site.succeed(process);
    }
    let results = site.results();
    // On a starved machine others may have been late too.
    assert!(results.workers.joined >= 7 && results.workers.lost >= 3, "{}", site.logs());
    Oracle::new(&site).assert_equal(&site);
}

#[test]
fn all_workers_are_killed_again_and_again() {
    let mut moments = Moments::new();
    let run = RunFile { shards: 6, wire: "bf16", clip: true, layers: RunFile::NORMALISED, ..long() };
    let site = Site::new(&run.text());
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut step = 0;
    for round in 0..3 {
        let names = [0, 1].map(|number| format!("round-{round}-{number}"));
        let mut workers = names.each_ref().map(|name| site.worker(name, address, &[]));
        site.until_logged(" joined with ", 2 * (round + 1));
        step += 20 + moments.below(300);
        site.until_step(step);
        moments.pause(STEP);
        workers.iter_mut().for_each(|worker| worker.signal(Signal::SIGKILL));
        site.until_logged("waiting for a worker; the run goes on at step", round + 2);
        step = site.step();
    }
    let mut last = site.worker("last", address, &["--threads", "2"]);
    site.succeed(&mut coordinator);
    site.succeed(&mut last);
    let results = site.results();
    assert!(results.workers.joined >= 7 && results.workers.lost >= 6, "{}", site.logs());
    Oracle::new(&site).assert_equal(&site);
}

/// A worker that is frozen in the first moments, while it joins, holds up nobody.
#[test]
fn a_worker_frozen_while_it_joins() {
    let mut moments = Moments::new();
    let site = Site::new(&RunFile { epochs: 40, ..long() }.text());
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut frozen = site.worker("frozen", address, &[]);
    moments.pause(Duration::from_millis(60));
    frozen.signal(Signal::SIGSTOP);
    let mut steady = site.worker("steady", address, &[]);
    site.succeed(&mut coordinator);
    site.succeed(&mut steady);
    Oracle::new(&site).assert_equal(&site);
}

/// A worker that is asked to end hands its shards over and leaves; the run waits for enough workers.
#[test]
fn a_worker_leaves_and_the_run_waits_for_two() {
    let mut moments = Moments::new();
    let site = Site::new(&RunFile { epochs: 100, min_workers: 2, ..long() }.text());
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut steady = site.worker("steady", address, &[]);
    site.until_logged("waiting for workers, 1 of at least 2 are here", 1);
    assert_eq!(site.step(), 0);
    let mut leaving = site.worker("leaving", address, &[]);
    site.until_step(10 + moments.below(100));
    moments.pause(STEP);
    leaving.signal(Signal::SIGTERM);
    assert_eq!(site.end(&mut leaving).code(), Some(75), "{}", leaving.errors());
    site.until_logged("worker leaving has left", 1);
    site.until_logged("waiting for workers, 1 of at least 2 are here", 2);
    let mut third = site.worker("third", address, &[]);
    for process in [&mut coordinator, &mut steady, &mut third] {
        site.succeed(process);
    }
    let results = site.results();
    assert_eq!((results.workers.joined, results.workers.lost), (3, 0), "{}", site.logs());
    Oracle::new(&site).assert_equal(&site);
}

/// Long before a frozen worker's heartbeats are missed, others compute what it has.
#[test]
fn a_late_worker_holds_up_nobody() {
    let mut moments = Moments::new();
    for _ in 0..5 {
        let site = Site::new(&RunFile { heartbeat_ms: 600_000, epochs: 100, ..long() }.text());
        let (mut coordinator, address) = site.coordinator(None, &[]);
        let mut late = site.worker("late", address, &[]);
        let mut steady = ["a", "b"].map(|name| site.worker(name, address, &[]));
        site.until_logged(" joined with ", 3);
        site.until_step(20 + moments.below(100));
        moments.pause(STEP);
        late.signal(Signal::SIGSTOP);
        site.succeed(&mut coordinator);
        steady.iter_mut().for_each(|worker| site.succeed(worker));
        assert_eq!(site.results().workers.lost, 0);
        Oracle::new(&site).assert_equal(&site);
        // Otherwise the run was over before it was frozen, or it had no shards in that moment.
        if site.log().contains("worker late is late in step") {
            return;
        }
    }
    panic!("five times no step waited for the frozen worker");
}
