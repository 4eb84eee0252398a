//! y = x Wᵀ + b, with W \[outputs, inputs\], x \[rows, inputs\], y \[rows, outputs\], as `torch.nn.Linear`.
//!
//! dW = dyᵀ x, db = Σ dy over rows, dx = dy W.

use crate::{Float, product, simd};

/// Overwrites y \[rows, outputs\].
pub fn forward<T: Float>(
    w: &[T],
    b: Option<&[T]>,
    x: &[T],
    y: &mut [T],
    rows: usize,
    inputs: usize,
    outputs: usize,
) {
    product::times_transposed(x, w, y, rows, inputs, outputs);
    let Some(b) = b.filter(|_| outputs > 0) else { return };
    simd::wide(
        #[inline(always)]
        || {
            for row in y.chunks_exact_mut(outputs) {
                for (y, b) in row.iter_mut().zip(b) {
                    *y += *b;
                }
            }
        },
    );
}

/// Overwrites dw \[outputs, inputs\] and db \[outputs\] with sums over rows; the bias's in row order.
pub fn backward_parameters<T: Float>(
    dy: &[T],
    x: &[T],
    dw: &mut [T],
    db: Option<&mut [T]>,
    rows: usize,
    inputs: usize,
    outputs: usize,
) {
    product::transposed_times(dy, x, dw, outputs, rows, inputs);
    if let Some(db) = db {
        backward_bias(dy, db);
    }
}

/// Overwrites db \[outputs\] with the sum over rows of dy \[rows, outputs\], in row order.
pub fn backward_bias<T: Float>(dy: &[T], db: &mut [T]) {
    simd::wide(
        #[inline(always)]
        || {
            db.fill(T::zero());
            for row in dy.chunks_exact(db.len().max(1)) {
                for (db, dy) in db.iter_mut().zip(row) {
                    *db += *dy;
                }
            }
        },
    );
}

/// Overwrites dx \[rows, inputs\].
pub fn backward_input<T: Float>(dy: &[T], w: &[T], dx: &mut [T], rows: usize, inputs: usize, outputs: usize) {
    product::times(dy, w, dx, rows, outputs, inputs);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{close, differences, values, widened};

    /// (y, dw, db, dx) for dL/dy = dy.
    fn run<T: Float>([w, b, x, dy]: [&[T]; 4], rows: usize, inputs: usize, outputs: usize) -> [Vec<T>; 4] {
        let nan = |len| vec![T::from_f64(f64::NAN); len];
        let (mut y, mut dx) = (nan(rows * outputs), nan(rows * inputs));
        let (mut dw, mut db) = (nan(outputs * inputs), nan(outputs));
        forward(w, Some(b), x, &mut y, rows, inputs, outputs);
        backward_parameters(dy, x, &mut dw, Some(&mut db), rows, inputs, outputs);
        backward_input(dy, w, &mut dx, rows, inputs, outputs);
        [y, dw, db, dx]
    }

    const SHAPES: [(usize, usize, usize); 4] = [(1, 1, 1), (3, 5, 4), (9, 20, 1), (17, 33, 12)];

    fn arguments<T: Float>(rows: usize, inputs: usize, outputs: usize) -> [Vec<T>; 4] {
        let of = |len, seed| values(len, seed, 1.0);
        [of(outputs * inputs, 1), of(outputs, 2), of(rows * inputs, 3), of(rows * outputs, 4)]
    }

    #[test]
    fn gradients_are_those_of_differences() {
        for (rows, inputs, outputs) in SHAPES {
            let [w, b, x, dy] = arguments::<f64>(rows, inputs, outputs);
            let [_, dw, db, dx] = run([&w, &b, &x, &dy], rows, inputs, outputs);
            let loss = |w: &[f64], b: &[f64], x: &[f64]| {
                let mut y = vec![0.0; rows * outputs];
                forward(w, Some(b), x, &mut y, rows, inputs, outputs);
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
            };
            differences("dw", &w, &dw, |w| loss(w, &b, &x));
            differences("db", &b, &db, |b| loss(&w, b, &x));
            differences("dx", &x, &dx, |x| loss(&w, &b, x));
        }
    }

    #[test]
    fn f32_agrees_with_f64() {
        for (rows, inputs, outputs) in SHAPES {
            let narrow = arguments::<f32>(rows, inputs, outputs);
            let wide = arguments::<f64>(rows, inputs, outputs);
            let narrow = run(narrow.each_ref().map(Vec::as_slice), rows, inputs, outputs);
            let wide = run(wide.each_ref().map(Vec::as_slice), rows, inputs, outputs);
            for (narrow, wide) in narrow.iter().zip(&wide) {
                close("linear", &widened(narrow), wide, 1e-5);
            }
        }
    }

    #[test]
    fn without_bias() {
        let mut y = [f64::NAN; 2];
        forward(&[2.0, 3.0], None, &[1.0, 1.0, 10.0, 1.0], &mut y, 2, 2, 1);
        assert_eq!(y, [5.0, 23.0]);
    }

    // import torch
    // torch.set_default_dtype(torch.float64)
    // w = torch.tensor([[0.5, -1., 2.], [1.5, 0.25, -0.75]], requires_grad=True)
    // b = torch.tensor([0.125, -0.5], requires_grad=True)
    // x = torch.tensor([[1., 2., 3.], [-1., 0.5, 4.]], requires_grad=True)
    // y = torch.nn.functional.linear(x, w, b)
    // y.backward(torch.tensor([[1., -2.], [0.5, 3.]]))
    // for t in (y, w.grad, b.grad, x.grad): print(t.flatten().tolist())
    #[test]
    fn golden() {
        let [y, dw, db, dx] = run(
            [
                &[0.5, -1.0, 2.0, 1.5, 0.25, -0.75],
                &[0.125, -0.5],
                &[1.0, 2.0, 3.0, -1.0, 0.5, 4.0],
                &[1.0, -2.0, 0.5, 3.0],
            ],
            2,
            3,
            2,
        );
        assert_eq!(y, [4.625, -0.75, 7.125, -4.875]);
        assert_eq!(dw, [0.5, 2.25, 5.0, -5.0, -2.5, 6.0]);
        assert_eq!(db, [1.5, 1.0]);
        assert_eq!(dx, [-2.5, -1.5, 3.5, 4.75, 0.25, -1.25]);
    }
}
