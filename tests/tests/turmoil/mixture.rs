//! Runs with faults of every kind on several links, each run from a seed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use lockstep_tests::cluster::{Moments, Oracle, RunFile, Site};

use super::cluster::{Cluster, run};
use super::network::{Fault, Moment};

const WORKERS: usize = 3;

/// In one run, if it does not end before.
const STRIKES: u64 = 4;

const FAULTS: [Fault; 6] = [Fault::Up, Fault::Down, Fault::Both, Fault::Lose, Fault::Hold, Fault::Lag];

/// In an epoch: 1,437 rows in batches of 128.
const STEPS: u64 = 12;

/// Runs at once: they wait more than they compute.
const AT_ONCE: u64 = 4;

/// What fell in all runs.
type Fallen = BTreeMap<Fault, u64>;

/// `LOCKSTEP_TURMOIL_SEEDS` of them, or a few. Each must end with the digest of an undisturbed run.
pub(crate) fn run_seeds() {
    let given = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seeds = given("LOCKSTEP_TURMOIL_SEEDS").unwrap_or(AT_ONCE);
    let (first, seeds) = match given("LOCKSTEP_TEST_SEED") {
        Some(seed) => (seed, 1),
        None => (Moments::new().below(1 << 32), seeds),
    };
    let oracle = Oracle::new(&Site::new(&long(1).text()));
    let (next, fallen) = (AtomicU64::new(0), Mutex::new(Fallen::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(seeds) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= seeds {
                        return;
                    }
                    for (fault, times) in run_seed(first + number, &oracle) {
                        *fallen.lock().unwrap().entry(fault).or_default() += times;
                    }
                }
            });
        }
    });
    let fallen = fallen.into_inner().unwrap();
    println!("{seeds} runs, digests equal; {fallen:?}");
    assert!(fallen.values().sum::<u64>() >= seeds, "each run has one at least");
}

fn long(least: u32) -> RunFile {
    RunFile { epochs: 80, ..run(least) }
}

/// Tells whoever looks at a failure which run it was.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if thread::panicking() {
            let seed = self.0;
            eprintln!(
                "once more: LOCKSTEP_TEST_SEED={seed} cargo test -p lockstep-tests --test turmoil seeds"
            );
        }
    }
}

fn run_seed(seed: u64, oracle: &Oracle) -> Fallen {
    let _told = Told(seed);
    let mut moments = Moments::from_seed(seed);
    let least = 1 + moments.below(WORKERS as u64) as u32;
    let run = long(least);
    let mut cluster = Cluster::new(moments.below(u64::MAX), &run, WORKERS, &["--resume"]);
    let mut fallen = Fallen::new();
    for strike in 0..STRIKES {
        let last = strike + 1 == STRIKES;
        let worker = moments.below(WORKERS as u64) as usize;
        let fault = FAULTS[moments.below(FAULTS.len() as u64) as usize];
        // The first falls into the join, whose bytes are rows; the last one into the last steps.
        let most = if strike == 0 || last { 100_000 } else { 1_000_000 };
        let moment = Moment { bytes: moments.below(most), millis: 1000 };
        if last {
            cluster.until_step_or_end(u64::from(run.epochs) * STEPS - 5);
        }
        let before = cluster.seen(worker).faults;
        cluster.network.strike(worker, fault, moment);
        while cluster.workers.len() < WORKERS {
            cluster.join(&[]);
        }
        cluster.site.until("a fault falls", || (cluster.seen(worker).faults > before).then_some(()));
        if cluster.coordinator.ended().is_some() {
            break;
        }
        *fallen.entry(fault).or_default() += 1;
        // Shorter or longer than three heartbeats.
        moments.pause(Duration::from_millis(3000));
        let early = cluster.site.step() < u64::from(run.epochs) * STEPS / 2;
        if moments.below(3) == 0 && early {
            cluster.restart_coordinator();
        }
        // The last may stay, where the others are enough.
        if least > 1 || !last || moments.below(2) == 0 {
            cluster.network.heal(worker);
        }
    }
    cluster.finish(&[]);
    oracle.assert_equal(&cluster.site);
    fallen
}
