//! y\[c\] = the mean of x\[·, c\] over a picture, dx = dy / pixels, as `torch.nn.AdaptiveAvgPool2d(1)`.

use crate::{Float, simd};

/// Overwrites y \[rows, channels\] of x \[rows, pixels, channels\]; pixels are added in order.
pub fn forward<T: Float>(x: &[T], y: &mut [T], pixels: usize, channels: usize) {
    let share = T::from_f64(1.0 / pixels as f64);
    simd::wide(
        #[inline(always)]
        || {
            for (x, y) in x.chunks_exact(pixels * channels).zip(y.chunks_exact_mut(channels)) {
                y.fill(T::zero());
                for x in x.chunks_exact(channels) {
                    for (y, x) in y.iter_mut().zip(x) {
                        *y += *x;
                    }
                }
                for y in y {
                    *y *= share;
                }
            }
        },
    );
}

/// Overwrites dx.
pub fn backward<T: Float>(dy: &[T], dx: &mut [T], pixels: usize, channels: usize) {
    let share = T::from_f64(1.0 / pixels as f64);
    simd::wide(
        #[inline(always)]
        || {
            for (dx, dy) in dx.chunks_exact_mut(pixels * channels).zip(dy.chunks_exact(channels)) {
                for dx in dx.chunks_exact_mut(channels) {
                    for (dx, dy) in dx.iter_mut().zip(dy) {
                        *dx = *dy * share;
                    }
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{close, differences, values, widened};

    const SHAPES: [(usize, usize); 3] = [(1, 3), (6, 1), (35, 9)];

    /// (y, dx) for dL/dy = dy, of two rows.
    fn run<T: Float>(x: &[T], dy: &[T], pixels: usize, channels: usize) -> (Vec<T>, Vec<T>) {
        let nan = |len| vec![T::from_f64(f64::NAN); len];
        let (mut y, mut dx) = (nan(dy.len()), nan(x.len()));
        forward(x, &mut y, pixels, channels);
        backward(dy, &mut dx, pixels, channels);
        (y, dx)
    }

    fn arguments<T: Float>(pixels: usize, channels: usize) -> [Vec<T>; 2] {
        [values(2 * pixels * channels, 1, 1.0), values(2 * channels, 2, 1.0)]
    }

    #[test]
    fn gradients_are_those_of_differences() {
        for (pixels, channels) in SHAPES {
            let [x, dy] = arguments::<f64>(pixels, channels);
            let (_, dx) = run(&x, &dy, pixels, channels);
            differences("dx", &x, &dx, |x| {
                run(x, &dy, pixels, channels).0.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
            });
        }
    }

    #[test]
    fn f32_agrees_with_f64() {
        for (pixels, channels) in SHAPES {
            let [x, dy] = arguments::<f32>(pixels, channels);
            let narrow = run(&x, &dy, pixels, channels);
            let [x, dy] = arguments::<f64>(pixels, channels);
            let wide = run(&x, &dy, pixels, channels);
            close("y", &widened(&narrow.0), &wide.0, 1e-5);
            close("dx", &widened(&narrow.1), &wide.1, 1e-5);
        }
    }

    // import torch
    // x = torch.arange(8.).reshape(1, 2, 2, 2).requires_grad_()
    // y = torch.nn.functional.adaptive_avg_pool2d(x, 1)
    // y.backward(torch.tensor([1., -2.]).reshape(y.shape))
    // for t in (y, x.grad): print(t.permute(0, 2, 3, 1).flatten().tolist())
    #[test]
    fn golden() {
        let (y, dx) = run(&[0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0], &[1.0, -2.0], 4, 2);
        assert_eq!(y, [1.5, 5.5]);
        assert_eq!(dx, [0.25, -0.5, 0.25, -0.5, 0.25, -0.5, 0.25, -0.5]);
    }
}
