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

#[test]
fn a_seed_is_one_simulation() {
    for seed in [3, 14, 159] {
        assert_eq!(sim::simulate(seed).unwrap(), sim::simulate(seed).unwrap());
    }
}
