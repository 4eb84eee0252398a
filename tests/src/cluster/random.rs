//! Moments for faults, from one seed that is printed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Numbers from a seed: the test's own, so that a failure's faults can be asked for again.
#[derive(Debug)]
pub struct Moments(u64);

impl Moments {
    /// From `LOCKSTEP_TEST_SEED`, else from the clock; printed, and so shown when the test fails.
    pub fn new() -> Self {
        let given = std::env::var("LOCKSTEP_TEST_SEED").ok();
        let seed = match given {
            Some(seed) => seed.parse().expect("LOCKSTEP_TEST_SEED is a number"),
            None => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()))
            }
        };
        Self::from_seed(seed)
    }

    /// From a seed; printed.
    pub fn from_seed(seed: u64) -> Self {
        println!(
            "the same faults again: LOCKSTEP_TEST_SEED={seed} (they meet the run at a like step, not at the same instruction)"
        );
        Self(seed)
    }

    /// Below `end`, by splitmix64.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }

    /// Sleeps for less than `most`, so that a fault falls anywhere in a step.
    pub fn pause(&mut self, most: Duration) {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        std::thread::sleep(Duration::from_micros(self.below(micros)));
    }
}

impl Default for Moments {
    fn default() -> Self {
        Self::new()
    }
}
