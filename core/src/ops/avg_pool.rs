//! y\[p, c\] = Σ x\[·, c\] under the window at p / kernel², as `torch.nn.AvgPool2d`: the padding counts, as
//! zeros. dx is the sum of dy / kernel² over the windows that a pixel is in.

use crate::ops::window::Window;
use crate::{Float, simd};

/// Overwrites y \[rows, lines, columns, channels\] of x \[rows, height, width, channels\].
pub fn forward<T: Float>(window: &Window, x: &[T], y: &mut [T]) {
    let &Window { channels, kernel, .. } = window;
    let share = share(window);
    simd::wide(
        #[inline(always)]
        || {
            for (index, y) in y.chunks_exact_mut(window.columns() * channels).enumerate() {
                let (picture, line) = (index / window.lines(), index % window.lines());
                y.fill(T::zero());
                for row in 0..kernel {
                    let Some(source) = window.source(picture, line, row) else { continue };
                    let x = &x[source];
                    for (place, y) in y.chunks_exact_mut(channels).enumerate() {
                        let (inside, first) = window.inside(place);
                        for x in x[first * channels..].chunks_exact(channels).take(inside.len()) {
                            for (y, x) in y.iter_mut().zip(x) {
                                *y += *x;
                            }
                        }
                    }
                }
                for y in y {
                    *y *= share;
                }
            }
        },
    );
}

/// Overwrites dx; windows are added in the order of places.
pub fn backward<T: Float>(window: &Window, dy: &[T], dx: &mut [T]) {
    let &Window { channels, kernel, .. } = window;
    let share = share(window);
    simd::wide(
        #[inline(always)]
        || {
            dx.fill(T::zero());
            for (index, dy) in dy.chunks_exact(window.columns() * channels).enumerate() {
                let (picture, line) = (index / window.lines(), index % window.lines());
                for row in 0..kernel {
                    let Some(source) = window.source(picture, line, row) else { continue };
                    let dx = &mut dx[source];
                    for (place, dy) in dy.chunks_exact(channels).enumerate() {
                        let (inside, first) = window.inside(place);
                        for dx in dx[first * channels..].chunks_exact_mut(channels).take(inside.len()) {
                            for (dx, dy) in dx.iter_mut().zip(dy) {
                                *dx += *dy * share;
                            }
                        }
                    }
                }
            }
        },
    );
}

fn share<T: Float>(window: &Window) -> T {
    T::from_f64(1.0 / (window.kernel * window.kernel) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{close, differences, values, widened};

    /// (y, dx) for dL/dy = dy.
    fn run<T: Float>(window: &Window, x: &[T], dy: &[T]) -> (Vec<T>, Vec<T>) {
        let nan = |len| vec![T::from_f64(f64::NAN); len];
        let (mut y, mut dx) = (nan(dy.len()), nan(x.len()));
        forward(window, x, &mut y);
        backward(window, dy, &mut dx);
        (y, dx)
    }

    const WINDOWS: [Window; 3] = [
        Window { channels: 3, height: 4, width: 6, kernel: 2, stride: 2, padding: 0 },
        Window { channels: 9, height: 7, width: 5, kernel: 3, stride: 2, padding: 1 },
        Window { channels: 1, height: 5, width: 4, kernel: 2, stride: 3, padding: 1 },
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
    // x = torch.arange(24.).mul(7).remainder(11).reshape(1, 2, 3, 4).requires_grad_()
    // y = torch.nn.functional.avg_pool2d(x, 2, stride=2, padding=1)
    // y.backward(torch.arange(1., 13.).reshape(y.shape))
    // for t in (y, x.grad): print(t.permute(0, 2, 3, 1).flatten().tolist())
    #[test]
    fn golden() {
        let window = Window { channels: 2, height: 3, width: 4, kernel: 2, stride: 2, padding: 1 };
        let x: Vec<f64> = (0..24).map(|i| f64::from((i / 2 + i % 2 * 12) * 7 % 11)).collect();
        let dy: Vec<f64> = (0..12).map(|i| f64::from(i / 2 + i % 2 * 6 + 1)).collect();
        let (y, dx) = run(&window, &x, &dy);
        assert_eq!(y, [0.0, 1.75, 2.5, 3.25, 2.5, 1.5, 1.75, 2.5, 5.75, 4.5, 1.25, 2.0]);
        assert_eq!(
            dx,
            [
                0.25, 1.75, 0.5, 2.0, 0.5, 2.0, 0.75, 2.25, 1.0, 2.5, 1.25, 2.75, 1.25, 2.75, 1.5, 3.0, 1.0,
                2.5, 1.25, 2.75, 1.25, 2.75, 1.5, 3.0
            ]
        );
    }
}
