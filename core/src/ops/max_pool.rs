//! y\[p, c\] = the greatest x\[·, c\] under the window at p, as `torch.nn.MaxPool2d`; dy goes to the pixel
//! that gave it, the first of equals. NaN is greater than any number; the padding is never looked at, and
//! is at most half the window, so that every window sees a pixel.

use crate::ops::window::Window;
use crate::{Float, simd};

/// Overwrites y \[rows, lines, columns, channels\], of x \[rows, height, width, channels\], and `taps`, of
/// y's shape: which pixel of the window gave the value, counted line by line.
pub fn forward<T: Float>(window: &Window, x: &[T], y: &mut [T], taps: &mut [u32]) {
    let &Window { channels, kernel, .. } = window;
    let line_of_places = window.columns() * channels;
    simd::wide(
        #[inline(always)]
        || {
            let lines = y.chunks_exact_mut(line_of_places).zip(taps.chunks_exact_mut(line_of_places));
            for (index, (y, taps)) in lines.enumerate() {
                let (picture, line) = (index / window.lines(), index % window.lines());
                let mut seen = false;
                for row in 0..kernel {
                    let Some(source) = window.source(picture, line, row) else { continue };
                    let x = &x[source];
                    let places = y.chunks_exact_mut(channels).zip(taps.chunks_exact_mut(channels));
                    for (place, (y, taps)) in places.enumerate() {
                        let (inside, first) = window.inside(place);
                        for (column, pixel) in inside.clone().zip(first..) {
                            let x = &x[pixel * channels..][..channels];
                            let tap = (row * kernel + column) as u32;
                            if seen || column > inside.start {
                                take_greater(x, tap, y, taps);
                            } else {
                                y.copy_from_slice(x);
                                taps.fill(tap);
                            }
                        }
                    }
                    seen = true;
                }
            }
        },
    );
}

#[inline(always)]
fn take_greater<T: Float>(x: &[T], tap: u32, y: &mut [T], taps: &mut [u32]) {
    for ((y, at), x) in y.iter_mut().zip(taps).zip(x) {
        // Only NaN differs from itself.
        #[allow(clippy::eq_op, reason = "one comparison of the vector, unlike is_nan of a generic number")]
        let takes = *x > *y || *x != *x;
        *y = if takes { *x } else { *y };
        *at = if takes { tap } else { *at };
    }
}

/// Overwrites dx, with the `taps` of the forward pass; what several windows give a pixel is added in the
/// order of places.
pub fn backward<T: Float>(window: &Window, dy: &[T], taps: &[u32], dx: &mut [T]) {
    let &Window { channels, kernel, .. } = window;
    let line_of_places = window.columns() * channels;
    let places = window.lines() * line_of_places;
    simd::wide(
        #[inline(always)]
        || {
            let pictures = dx.chunks_exact_mut(window.picture());
            for (dx, (dy, taps)) in pictures.zip(dy.chunks_exact(places).zip(taps.chunks_exact(places))) {
                if !window.tiles() {
                    dx.fill(T::zero());
                }
                let lines = dy.chunks_exact(line_of_places).zip(taps.chunks_exact(line_of_places));
                for (line, (dy, taps)) in lines.enumerate() {
                    for row in 0..kernel {
                        let Some(source) = window.source(0, line, row) else { continue };
                        let dx = &mut dx[source];
                        let places = dy.chunks_exact(channels).zip(taps.chunks_exact(channels));
                        for (place, (dy, taps)) in places.enumerate() {
                            let (inside, first) = window.inside(place);
                            for (column, pixel) in inside.zip(first..) {
                                let dx = &mut dx[pixel * channels..][..channels];
                                let tap = (row * kernel + column) as u32;
                                if window.kernel <= window.stride {
                                    give(
                                        dy,
                                        taps,
                                        tap,
                                        dx,
                                        #[inline(always)]
                                        |_, dy| dy,
                                    );
                                } else {
                                    give(
                                        dy,
                                        taps,
                                        tap,
                                        dx,
                                        #[inline(always)]
                                        |dx, dy| dx + dy,
                                    );
                                }
                            }
                        }
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn give<T: Float>(dy: &[T], taps: &[u32], tap: u32, dx: &mut [T], with: impl Fn(T, T) -> T) {
    for ((dx, dy), at) in dx.iter_mut().zip(dy).zip(taps) {
        *dx = with(*dx, if *at == tap { *dy } else { T::zero() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{close, differences, values, widened};

    /// (y, dx) for dL/dy = dy.
    fn run<T: Float>(window: &Window, x: &[T], dy: &[T]) -> (Vec<T>, Vec<T>) {
        let nan = |len| vec![T::from_f64(f64::NAN); len];
        let (mut y, mut dx, mut taps) = (nan(dy.len()), nan(x.len()), vec![u32::MAX; dy.len()]);
        forward(window, x, &mut y, &mut taps);
        backward(window, dy, &taps, &mut dx);
        (y, dx)
    }

    const WINDOWS: [Window; 4] = [
        Window { channels: 3, height: 4, width: 6, kernel: 2, stride: 2, padding: 0 },
        Window { channels: 1, height: 5, width: 5, kernel: 3, stride: 1, padding: 1 },
        Window { channels: 9, height: 7, width: 5, kernel: 3, stride: 2, padding: 1 },
        Window { channels: 2, height: 5, width: 4, kernel: 2, stride: 3, padding: 1 },
    ];

    fn arguments<T: Float>(window: &Window) -> [Vec<T>; 2] {
        [values(2 * window.picture(), 1, 1.0), values(2 * window.places() * window.channels, 2, 1.0)]
    }

    #[test]
    fn gradients_are_those_of_differences() {
        for window in WINDOWS {
            let [x, dy] = arguments::<f64>(&window);
            let (_, dx) = run(&window, &x, &dy);
            differences(&format!("{window:?}"), &x, &dx, |x| {
                run(&window, x, &dy).0.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
            });
        }
    }

    #[test]
    fn f32_agrees_with_f64() {
        for window in WINDOWS {
            let ([x, dy], [wide_x, wide_dy]) = (arguments::<f32>(&window), arguments::<f64>(&window));
            let (narrow, wide) = (run(&window, &x, &dy), run(&window, &wide_x, &wide_dy));
            close("y", &widened(&narrow.0), &wide.0, 1e-5);
            close("dx", &widened(&narrow.1), &wide.1, 1e-5);
        }
    }

    // import torch
    // nan, inf = float("nan"), float("inf")
    // x = torch.tensor([[2., 2., -inf, -inf], [2., 1., -inf, -inf], [nan, 5., 3., 9.], [1., nan, 9., 9.]])
    // x = x.reshape(1, 1, 4, 4).requires_grad_()
    // y = torch.nn.functional.max_pool2d(x, 2)
    // y.backward(torch.tensor([1., 2., 3., 4.]).reshape(y.shape))
    // print(y.flatten().tolist(), x.grad.flatten().tolist())
    #[test]
    fn equals_infinities_and_nan() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let x = [2.0, 2.0, -inf, -inf, 2.0, 1.0, -inf, -inf, nan, 5.0, 3.0, 9.0, 1.0, nan, 9.0, 9.0];
        let window = Window { channels: 1, height: 4, width: 4, kernel: 2, stride: 2, padding: 0 };
        let (y, dx) = run(&window, &x, &[1.0, 2.0, 3.0, 4.0]);
        assert!(y[2].is_nan());
        assert_eq!([y[0], y[1], y[3]], [2.0, -inf, 9.0]);
        let expected = [1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0, 0.0, 3.0, 0.0, 0.0];
        assert_eq!(dx, expected);
    }

    // import torch
    // x = torch.arange(24.).mul(7).remainder(11).reshape(1, 2, 3, 4).requires_grad_()
    // y = torch.nn.functional.max_pool2d(x, 3, stride=2, padding=1)
    // y.backward(torch.arange(1., 9.).reshape(y.shape))
    // for t in (y, x.grad): print(t.permute(0, 2, 3, 1).flatten().tolist())
    #[test]
    fn golden() {
        let window = Window { channels: 2, height: 3, width: 4, kernel: 3, stride: 2, padding: 1 };
        let x: Vec<f64> = (0..24).map(|i| f64::from((i / 2 + i % 2 * 12) * 7 % 11)).collect();
        let (y, dx) = run(&window, &x, &[1.0, 5.0, 2.0, 6.0, 3.0, 7.0, 4.0, 8.0]);
        assert_eq!(y, [7.0, 9.0, 10.0, 10.0, 8.0, 9.0, 9.0, 9.0]);
        assert_eq!(
            dx,
            [
                0.0, 0.0, 1.0, 0.0, 0.0, 6.0, 2.0, 0.0, 0.0, 0.0, 0.0, 20.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0,
                3.0, 0.0, 0.0, 0.0, 0.0, 0.0
            ]
        );
    }
}
