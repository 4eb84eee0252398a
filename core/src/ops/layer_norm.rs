//! y = w x̂ + b with x̂ = (x - mean)/√(variance + eps), over all values of a row, as `torch.nn.LayerNorm`.
//!
//! dw = Σ dy x̂ and db = Σ dy over rows; with g = w dy, dx = (g - mean g - x̂ · mean(g x̂))/√(variance + eps).
//! Ba, Kiros and Hinton, 2016. Means are f64 sums.

use crate::ops::lanes;
use crate::{Float, simd};

/// The values of a row, and what is added to its variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// At least 1.
    pub width: usize,
    /// Above 0.
    pub eps: f64,
}

/// A row's mean and 1/√(variance + eps).
type Statistics<T> = [T; 2];

/// Overwrites y \[rows, width\] and `statistics` \[rows, 2\].
pub fn forward<T: Float>(norm: &LayerNorm, w: &[T], b: &[T], x: &[T], y: &mut [T], statistics: &mut [T]) {
    let rows = x.chunks_exact(norm.width).zip(y.chunks_exact_mut(norm.width));
    simd::wide(
        #[inline(always)]
        || {
            for ((x, y), statistics) in rows.zip(statistics.as_chunks_mut().0) {
                *statistics = measured(norm, x);
                let [mean, scale] = *statistics;
                for (((y, x), w), b) in y.iter_mut().zip(x).zip(w).zip(b) {
                    *y = (*x - mean) * scale * *w + *b;
                }
            }
        },
    );
}

#[inline(always)]
fn measured<T: Float>(norm: &LayerNorm, x: &[T]) -> Statistics<T> {
    let width = norm.width as f64;
    let mean = lanes::sum(
        x,
        x,
        #[inline(always)]
        |x, _| x.to_f64(),
    ) / width;
    let squares = lanes::sum(
        x,
        x,
        #[inline(always)]
        |x, _| (x.to_f64() - mean) * (x.to_f64() - mean),
    );
    [T::from_f64(mean), T::from_f64(1.0 / (squares / width + norm.eps).sqrt())]
}

/// Overwrites dw and db \[width\] with sums over rows, in row order.
pub fn backward_parameters<T: Float>(
    norm: &LayerNorm,
    dy: &[T],
    x: &[T],
    statistics: &[T],
    dw: &mut [T],
    db: &mut [T],
) {
    let rows = x.chunks_exact(norm.width).zip(dy.chunks_exact(norm.width));
    simd::wide(
        #[inline(always)]
        || {
            dw.fill(T::zero());
            db.fill(T::zero());
            for ((x, dy), [mean, scale]) in rows.zip(statistics.as_chunks().0) {
                for (((dw, db), x), dy) in dw.iter_mut().zip(db.iter_mut()).zip(x).zip(dy) {
                    *dw += *dy * ((*x - *mean) * *scale);
                    *db += *dy;
                }
            }
        },
    );
}

/// Turns dL/dy into dL/dx in place.
pub fn backward_input<T: Float>(norm: &LayerNorm, w: &[T], x: &[T], statistics: &[T], dy: &mut [T]) {
    let rows = x.chunks_exact(norm.width).zip(dy.chunks_exact_mut(norm.width));
    let width = norm.width as f64;
    simd::wide(
        #[inline(always)]
        || {
            for ((x, dy), [mean, scale]) in rows.zip(statistics.as_chunks().0) {
                for (g, w) in dy.iter_mut().zip(w) {
                    *g *= *w;
                }
                let sum = lanes::sum(
                    dy,
                    x,
                    #[inline(always)]
                    |g, _| g.to_f64(),
                );
                let product = lanes::sum(
                    dy,
                    x,
                    #[inline(always)]
                    |g, x| g.to_f64() * ((x - *mean) * *scale).to_f64(),
                );
                let (sum, product) = (T::from_f64(sum / width), T::from_f64(product / width));
                for (g, x) in dy.iter_mut().zip(x) {
                    *g = (*g - sum - (*x - *mean) * *scale * product) * *scale;
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{close, differences, values, widened};

    /// (y, dw, db, dx) for dL/dy = dy.
    fn run<T: Float>(norm: &LayerNorm, [w, b, x, dy]: [&[T]; 4]) -> [Vec<T>; 4] {
        let nan = |len| vec![T::from_f64(f64::NAN); len];
        let (mut y, mut dw, mut db, mut dx) = (nan(x.len()), nan(w.len()), nan(b.len()), dy.to_vec());
        let mut statistics = nan(2 * (x.len() / norm.width));
        forward(norm, w, b, x, &mut y, &mut statistics);
        backward_parameters(norm, dy, x, &statistics, &mut dw, &mut db);
        backward_input(norm, w, x, &statistics, &mut dx);
        [y, dw, db, dx]
    }

    fn norms() -> [LayerNorm; 3] {
        [(1, 0.5), (7, 1e-5), (45, 0.1)].map(|(width, eps)| LayerNorm { width, eps })
    }

    fn arguments<T: Float>(norm: &LayerNorm) -> [Vec<T>; 4] {
        let width = norm.width;
        [values(width, 1, 1.0), values(width, 2, 1.0), values(3 * width, 3, 1.0), values(3 * width, 4, 1.0)]
    }

    #[test]
    fn gradients_are_those_of_differences() {
        for norm in norms() {
            let [w, b, x, dy] = arguments::<f64>(&norm);
            let [_, dw, db, dx] = run(&norm, [&w, &b, &x, &dy]);
            let loss = |w: &[f64], b: &[f64], x: &[f64]| {
                let [y, ..] = run(&norm, [w, b, x, &dy]);
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
            };
            differences("dw", &w, &dw, |w| loss(w, &b, &x));
            differences("db", &b, &db, |b| loss(&w, b, &x));
            differences("dx", &x, &dx, |x| loss(&w, &b, x));
        }
    }

    #[test]
    fn f32_agrees_with_f64() {
        for norm in norms() {
            let (narrow, wide) = (arguments::<f32>(&norm), arguments::<f64>(&norm));
            let narrow = run(&norm, narrow.each_ref().map(Vec::as_slice));
            let wide = run(&norm, wide.each_ref().map(Vec::as_slice));
            for (narrow, wide) in narrow.iter().zip(&wide) {
                close("layer_norm", &widened(narrow), wide, 1e-5);
            }
        }
    }

    // import torch
    // torch.set_default_dtype(torch.float64)
    // w = torch.tensor([0.5, -1., 2.], requires_grad=True)
    // b = torch.tensor([0.125, -0.5, 1.], requires_grad=True)
    // x = torch.tensor([[1., 2., 4.], [-1., 0.5, 3.]], requires_grad=True)
    // y = torch.nn.functional.layer_norm(x, [3], w, b)
    // y.backward(torch.tensor([[1., -2., 0.5], [0.5, 3., -1.]]))
    // for t in (y, w.grad, b.grad, x.grad): print(t.flatten().tolist())
    #[test]
    fn golden() {
        let norm = LayerNorm { width: 3, eps: 1e-5 };
        let [y, dw, db, dx] = run(
            &norm,
            [
                &[0.5, -1.0, 2.0],
                &[0.125, -0.5, 1.0],
                &[1.0, 2.0, 4.0, -1.0, 0.5, 3.0],
                &[1.0, -2.0, 0.5, 0.5, 3.0, -1.0],
            ],
        );
        close(
            "y",
            &y,
            &[
                -0.40952076572514884,
                -0.23273961713742547,
                3.6726038286257436,
                -0.43058287904630377,
                -0.2979698621649805,
                3.6263917918552546,
            ],
            1e-14,
        );
        close("dw", &dw, &[-1.6246244104966017, -0.07156964777990948, -0.6450449387711912], 1e-14);
        assert_eq!(db, [1.5, 1.0, -0.5]);
        close(
            "dx",
            &dx,
            &[
                -0.4581611472191036,
                0.6872408617829473,
                -0.22907971456384335,
                0.5952692655367267,
                -0.9524274480817205,
                0.3571581825449939,
            ],
            1e-14,
        );
    }
}
