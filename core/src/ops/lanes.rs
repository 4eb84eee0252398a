//! Reductions over a row in a fixed order that vectorizes.

use crate::Float;

/// Partial results kept side by side: lane i takes the elements i, i + 8, i + 16, …
const LANES: usize = 8;

/// The sum of `f` over two slices of one length, in f64: lane by lane, the lanes in a tree, at last what
/// is left over.
#[inline(always)]
pub(super) fn sum<A: Copy, B: Copy>(a: &[A], b: &[B], f: impl Fn(A, B) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += f(*a, *b);
        }
    }
    // Apart from the lanes, which thus stay in registers.
    let rest = a_rest.iter().zip(b_rest).fold(0.0, |sum, (a, b)| sum + f(*a, *b));
    let [a, b, c, d, e, f, g, h] = lanes;
    (((a + e) + (c + g)) + ((b + f) + (d + h))) + rest
}

/// The greatest element that is not NaN; minus infinity if there is none.
#[inline(always)]
pub(super) fn greatest<T: Float>(values: &[T]) -> T {
    let mut lanes = [T::from_f64(f64::NEG_INFINITY); LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane = v.at_least(*lane);
        }
    }
    lanes.into_iter().chain(rest.iter().copied()).fold(T::from_f64(f64::NEG_INFINITY), |a, b| b.at_least(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reductions_take_every_element() {
        for len in 0..40 {
            let values: Vec<f64> = (0..len).map(|i| f64::from((i * 7) % 41)).collect();
            assert_eq!(sum(&values, &values, |a, b| a + b), 2.0 * values.iter().sum::<f64>());
            let expected = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(greatest(&values), expected);
        }
    }

    #[test]
    fn greatest_passes_over_nan() {
        assert_eq!(greatest(&[f32::NAN, 1.0, f32::NAN]), 1.0);
        assert_eq!(greatest(&[2.0; 9].map(|x: f32| if x > 3.0 { x } else { f32::NAN })), f32::NEG_INFINITY);
    }
}
