//! Matrix products: the one place that multiplies.
//!
//! ndarray picks other kernels for other strides, orders and sizes, and BLAS other bits for other
//! kernels, so every product of a run has a shape and a layout that depend on its shard alone:
//! contiguous, row-major operands, given here as slices. The result is always overwritten (beta = 0).

use ndarray::{ArrayView2, ArrayViewMut2};

use crate::Float;

/// Whether an operand is used as it lies or transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum As {
    Stored,
    Transposed,
}

/// Up to this many rows, columns and terms ndarray does not call BLAS but a kernel chosen at run time.
const SMALL: usize = 7;

/// C\[m, n\] = A\[m, k\] · B\[n, k\]ᵀ
pub fn times_transposed<T: Float>(a: &[T], b: &[T], c: &mut [T], m: usize, k: usize, n: usize) {
    multiply((a, As::Stored), (b, As::Transposed), c, m, k, n);
}

/// C\[m, n\] = A\[m, k\] · B\[k, n\]
pub fn times<T: Float>(a: &[T], b: &[T], c: &mut [T], m: usize, k: usize, n: usize) {
    multiply((a, As::Stored), (b, As::Stored), c, m, k, n);
}

/// C\[m, n\] = A\[k, m\]ᵀ · B\[k, n\]
pub fn transposed_times<T: Float>(a: &[T], b: &[T], c: &mut [T], m: usize, k: usize, n: usize) {
    multiply((a, As::Transposed), (b, As::Stored), c, m, k, n);
}

#[allow(clippy::disallowed_methods, reason = "this is the one place")]
fn multiply<T: Float>(a: (&[T], As), b: (&[T], As), c: &mut [T], m: usize, k: usize, n: usize) {
    assert!(a.0.len() == m * k && b.0.len() == k * n && c.len() == m * n, "a product's shapes");
    if c.is_empty() {
        return;
    }
    if m <= SMALL && n <= SMALL && k <= SMALL {
        return multiply_small(a, b, c, m, k, n);
    }
    let (Some(a), Some(b)) = (view(a, m, k), view(b, k, n)) else { return };
    let Ok(mut c) = ArrayViewMut2::from_shape((m, n), c) else { return };
    ndarray::linalg::general_mat_mul(T::one(), &a, &b, T::zero(), &mut c);
}

fn view<T>((data, order): (&[T], As), rows: usize, columns: usize) -> Option<ArrayView2<'_, T>> {
    match order {
        As::Stored => ArrayView2::from_shape((rows, columns), data).ok(),
        As::Transposed => ArrayView2::from_shape((columns, rows), data).ok().map(|v| v.reversed_axes()),
    }
}

/// Terms in ascending order.
fn multiply_small<T: Float>(a: (&[T], As), b: (&[T], As), c: &mut [T], m: usize, k: usize, n: usize) {
    let at = |(data, order): (&[T], As), row: usize, column: usize, rows: usize, columns: usize| match order {
        As::Stored => data[row * columns + column],
        As::Transposed => data[column * rows + row],
    };
    for row in 0..m {
        for column in 0..n {
            let mut sum = T::zero();
            for term in 0..k {
                sum += at(a, row, term, m, k) * at(b, term, column, k, n);
            }
            c[row * n + column] = sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(len: usize, step: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * step) % 23) as f64 / 8.0 - 1.0).collect()
    }

    /// All three products against the definition, below and above the size at which BLAS takes over.
    #[test]
    fn products_follow_their_definition() {
        for (m, k, n) in [(1, 1, 1), (2, 3, 4), (7, 7, 7), (8, 3, 2), (9, 17, 5), (33, 20, 1), (1, 40, 30)] {
            let (a, b) = (filled(m * k, 7), filled(k * n, 5));
            let transposed = |x: &[f64], rows: usize, columns: usize| -> Vec<f64> {
                (0..columns * rows).map(|i| x[(i % rows) * columns + i / rows]).collect()
            };
            let expected: Vec<f64> =
                (0..m * n).map(|i| (0..k).map(|t| a[i / n * k + t] * b[t * n + i % n]).sum()).collect();
            let mut c = vec![f64::NAN; m * n];
            let close = |c: &[f64]| c.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-12);
            times(&a, &b, &mut c, m, k, n);
            assert!(close(&c), "times {m} {k} {n}");
            times_transposed(&a, &transposed(&b, k, n), &mut c, m, k, n);
            assert!(close(&c), "times_transposed {m} {k} {n}");
            transposed_times(&transposed(&a, m, k), &b, &mut c, m, k, n);
            assert!(close(&c), "transposed_times {m} {k} {n}");
        }
    }

    #[test]
    fn empty_products_are_fine() {
        let mut c: [f32; 0] = [];
        times(&[], &[1.0, 2.0], &mut c, 0, 1, 2);
        let mut sums = [f32::NAN; 2];
        transposed_times(&[], &[], &mut sums, 1, 0, 2);
        assert_eq!(sums, [0.0; 2]);
    }
}
