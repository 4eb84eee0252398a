//! Thousands of simulated clusters, each with its own faults.

use std::sync::atomic::{AtomicU64, Ordering};

use lockstep_tests::sim::{self, Tally};

const SEEDS: u64 = 3000;

#[test]
fn simulated_clusters_give_what_one_process_gives() {
    let next = AtomicU64::new(0);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return tally;
            }
            match sim::simulate(seed) {
                Ok(one) => tally.merge(&one),
                Err(failure) => panic!("{failure}"),
            }
        }
    };
    let tally = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        let mut tally = Tally::default();
        threads.into_iter().for_each(|thread| tally.merge(&thread.join().unwrap()));
        tally
    });
    println!("{tally}");
    for fault in sim::faults() {
        assert!(tally.of(&fault) > 0, "{fault} never happened:\n{tally}");
    }
}

/// `LOCKSTEP_TEST_LIARS=100` tries as many.
#[test]
fn a_worker_that_flips_one_bit_of_each_gradient_is_put_out() {
    let trials: usize = std::env::var("LOCKSTEP_TEST_LIARS").map_or(30, |trials| trials.parse().unwrap());
    let all = (0..).filter_map(|seed| sim::lie(seed).unwrap_or_else(|failure| panic!("{failure}")));
    let all: Vec<sim::Caught> = all.take(trials).collect();
    let mut lies: Vec<u64> = all.iter().filter(|one| one.put_out).map(|one| one.lies).collect();
    lies.sort_unstable();
    println!("{} of {trials} liars were put out, the median in step {}", lies.len(), lies[lies.len() / 2]);
    assert!(lies.len() * 100 >= trials * 99, "{all:?}");
}

#[test]
fn a_seed_is_one_simulation() {
    for seed in [3, 14, 159] {
        assert_eq!(sim::simulate(seed).unwrap(), sim::simulate(seed).unwrap());
    }
}
