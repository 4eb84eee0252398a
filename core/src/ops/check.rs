//! How operations are checked: finite differences, f32 against f64, golden values.

use crate::Float;

/// Values in about ±`size` with no pattern, never within 0.01 of zero, where some functions have a kink.
pub(crate) fn values<T: Float>(len: usize, seed: u64, size: f64) -> Vec<T> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let uniform = (state >> 40) as f64 / f64::from(1 << 23) - 1.0;
        // The same values in both widths.
        T::from_f64(f64::from((uniform * size + 0.01f64.copysign(uniform)) as f32))
    };
    (0..len).map(next).collect()
}

/// f32 as f64.
pub(crate) fn widened<T: Float>(values: &[T]) -> Vec<f64> {
    values.iter().map(|v| v.to_f64()).collect()
}

/// Asserts |a - b| ≤ tolerance · max(1, |b|), NaN being equal to NaN.
#[track_caller]
pub(crate) fn close(what: &str, a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len(), "{what}: lengths");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        let same = a.is_nan() && b.is_nan() || a == b || (a - b).abs() <= tolerance * b.abs().max(1.0);
        assert!(same, "{what}: element {i} is {a}, expected {b}");
    }
}

/// Asserts that `gradient` is that of `f` at `x`, by central differences, to a relative 1e-6.
#[track_caller]
pub(crate) fn differences(what: &str, x: &[f64], gradient: &[f64], mut f: impl FnMut(&[f64]) -> f64) {
    let mut moved = x.to_vec();
    let mut numeric = Vec::new();
    for i in 0..x.len() {
        let step = 1e-4;
        let mut at = |offset: f64| {
            moved[i] = x[i] + offset;
            f(&moved)
        };
        // Fourth order: the error of the difference itself stays below the tolerance.
        let slope = (8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step))) / (12.0 * step);
        moved[i] = x[i];
        numeric.push(slope);
    }
    let scale = numeric.iter().fold(0.0f64, |a, b| a.max(b.abs())).max(1e-3);
    for (i, (exact, numeric)) in gradient.iter().zip(&numeric).enumerate() {
        let error = (exact - numeric).abs() / scale;
        assert!(error < 1e-6, "{what}: element {i} is {exact}, differences say {numeric}");
    }
    assert_eq!(gradient.len(), x.len(), "{what}: lengths");
}
