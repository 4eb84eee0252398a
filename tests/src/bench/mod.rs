//! How long steps take: benchmarks, not tests.
//!
//! Steps are those of real clusters: `lockstep train` on generated rows, timed by its own
//! `metrics.jsonl`. Beside them stands the floor: the same matrix products alone.

pub mod case;
pub mod cluster;
pub mod floor;
pub mod reducer;
pub mod startup;

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
