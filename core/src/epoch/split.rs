//! Which rows are held out for validation.

/// Whether a row belongs to validation rather than to training, with the probability `fraction`.
///
/// Row i is held out if the hash of (seed, i) says so, whatever the number of rows: approximate in
/// count, and stable when rows are appended. The hash is SplitMix64's output function (Steele, Lea and
/// Flood 2014) of the i-th state of the generator that starts at the hash of the seed; its upper 53 bits
/// are the number in \[0, 1) that is compared with `fraction`.
pub fn held_out(seed: u64, row: u64, fraction: f64) -> bool {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    let state = mix(seed.wrapping_add(GAMMA)).wrapping_add(row.wrapping_add(1).wrapping_mul(GAMMA));
    ((mix(state) >> 11) as f64) < fraction * (1_u64 << 53) as f64
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of Vigna's splitmix64.c for the seed 1234567.
    #[test]
    fn the_hash_is_splitmix64() {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let outputs = [1, 2, 3].map(|i| mix(1_234_567_u64.wrapping_add(GAMMA.wrapping_mul(i))));
        assert_eq!(outputs, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    /// Other rows here hold out other rows of every existing run.
    ///
    /// ```python
    /// M, G = 2**64 - 1, 0x9e3779b97f4a7c15
    /// def mix(z):
    ///     z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & M
    ///     z = (z ^ z >> 27) * 0x94d049bb133111eb & M
    ///     return z ^ z >> 31
    /// print([i for i in range(50) if mix(mix(7 + G) + (i + 1) * G & M) >> 11 < 0.2 * 2**53])
    /// ```
    #[test]
    fn rows_are_pinned() {
        let rows: Vec<u64> = (0..50).filter(|row| held_out(7, *row, 0.2)).collect();
        assert_eq!(rows, [5, 9, 12, 13, 20, 36]);
    }

    #[test]
    fn the_share_is_about_the_fraction() {
        for seed in 0..20 {
            let count = (0..10_000).filter(|row| held_out(seed, *row, 0.1)).count();
            assert!(count.abs_diff(1000) < 120, "{count} with seed {seed}");
        }
        assert!((0..1000).all(|row| !held_out(7, row, 0.0) && held_out(7, row, 1.0)));
        assert!((0..1000).all(|row| !held_out(7, row, f64::NAN)));
    }
}
