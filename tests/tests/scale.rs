//! As many workers as a star is for, on one machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use lockstep_tests::cluster::{Oracle, RunFile, Site};
use nix::sys::signal::Signal;

const WORKERS: usize = 64;

/// 64 processes join and train, half of them are killed at once, the others go on, and no bit changes.
#[test]
fn half_of_64_workers_are_killed_at_once() {
    let mut epochs = 100;
    for _ in 0..5 {
        let run = RunFile {
            shards: WORKERS as u32,
            batch: 256,
            min_workers: WORKERS as u32 / 2,
            epochs,
            every_steps: 1_000_000,
            // 64 processes may wait long for a turn on two cores.
            heartbeat_ms: 10_000,
            ..RunFile::default()
        };
        let site = Site::new(&run.text());
        let (mut coordinator, address) = site.coordinator(None, &[]);
        let mut workers: Vec<_> =
            (0..WORKERS).map(|number| site.worker(&format!("w{number}"), address, &[])).collect();
        site.until("all have joined", || {
            let joined = site.log().matches(" joined with ").count();
            (joined == WORKERS || coordinator.ended().is_some()).then_some(())
        });
        let at = site.step();
        site.until("another step", || (site.step() > at || coordinator.ended().is_some()).then_some(()));
        let (lost, kept) = workers.split_at_mut(WORKERS / 2);
        lost.iter_mut().for_each(|worker| worker.signal(Signal::SIGKILL));
        site.succeed(&mut coordinator);
        let workers = site.results().workers;
        // Otherwise the run was over before all had come, or before the last was killed.
        if (workers.joined, workers.lost) == (WORKERS as u64, WORKERS as u64 / 2) {
            kept.iter_mut().for_each(|worker| site.succeed(worker));
            Oracle::new(&site).assert_equal(&site);
            return;
        }
        epochs *= 2;
    }
    panic!("five times the run was over before half of its {WORKERS} workers were killed");
}
