//! How long steps take: benchmarks, not tests.
//!
//! Steps are those of real clusters: `lockstep train` on generated rows, timed by its own
//! `metrics.jsonl`. Beside them stand the floor, which is the same matrix products alone, and what the
//! model of the cost predicts.

pub mod arithmetic;
pub mod audit;
pub mod case;
pub mod cluster;
pub mod data;
pub mod floor;
pub mod machine;
pub mod network;
pub mod reducer;
mod rows;
pub mod scale;
pub mod shards;
pub mod startup;
pub mod steps;
pub mod tls;
pub mod wire;

use nix::time::{ClockId, clock_gettime};

/// Seconds that the calling thread has computed: what its arithmetic takes of a core, also while others
/// want the same core. 0 where the system does not tell.
fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(0.0, |time| time.tv_sec() as f64 + 1e-9 * time.tv_nsec() as f64)
}

/// The middle one; of an even number, the greater of the two in the middle. NaN if there is none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 3.0);
        assert!(median(vec![]).is_nan());
    }
}
