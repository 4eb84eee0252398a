//! y = x Wᵀ + b, with W \[outputs, inputs\], x \[rows, inputs\], y \[rows, outputs\], as `torch.nn.Linear`.
//!
//! dW = dyᵀ x, db = Σ dy over rows, dx = dy W.

use super::activation;
use crate::run::spec::Activation;
use crate::{Float, product, simd};

/// Overwrites y \[rows, outputs\] with x Wᵀ; [`finish`] makes it the layer's output.
pub fn forward<T: Float>(w: &[T], x: &[T], y: &mut [T], rows: usize, inputs: usize, outputs: usize) {
    product::times_transposed(x, w, y, rows, inputs, outputs);
}

/// Adds the bias and applies an activation, in one pass.
pub fn finish<T: Float>(b: Option<&[T]>, activation: Option<Activation>, y: &mut [T]) {
    match (b, activation) {
        (Some(b), Some(activation)) => activation::forward_biased(activation, b, y),
        (None, Some(activation)) => activation::forward_in_place(activation, y),
        (Some(b), None) => add_to_rows(b, y),
        (None, None) => {}
    }
}

/// Turns dL/d(output) into dL/dy before [`finish`], and overwrites db with its sum over rows, in row
/// order, in one pass. Of an activation whose derivative is a function of its output.
pub fn backward_finish<T: Float>(
    activation: Option<Activation>,
    y: &[T],
    dy: &mut [T],
    db: Option<&mut [T]>,
) {
    match (db, activation) {
        (Some(db), Some(activation)) => activation::backward_biased(activation, y, dy, db),
        (None, Some(activation)) => activation::backward(activation, &[], y, dy),
        (Some(db), None) => backward_bias(dy, db),
        (None, None) => {}
    }
}

fn add_to_rows<T: Float>(b: &[T], y: &mut [T]) {
    simd::wide(
        #[inline(always)]
        || {
            for row in y.chunks_exact_mut(b.len().max(1)) {
                for (y, b) in row.iter_mut().zip(b) {
                    *y += *b;
                }
            }
        },
    );
}

fn backward_bias<T: Float>(dy: &[T], db: &mut [T]) {
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

/// Overwrites dw \[outputs, inputs\] with the sum over rows.
pub fn backward_weight<T: Float>(
    dy: &[T],
    x: &[T],
    dw: &mut [T],
    rows: usize,
    inputs: usize,
    outputs: usize,
) {
    product::transposed_times(dy, x, dw, outputs, rows, inputs);
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
    fn run<T: Float>(
        activation: Option<Activation>,
        [w, b, x, dy]: [&[T]; 4],
        (rows, inputs, outputs): (usize, usize, usize),
    ) -> [Vec<T>; 4] {
        let nan = |len| vec![T::from_f64(f64::NAN); len];
        let (mut y, mut dx) = (nan(rows * outputs), nan(rows * inputs));
        let (mut dw, mut db) = (nan(outputs * inputs), nan(outputs));
        forward(w, x, &mut y, rows, inputs, outputs);
        finish(Some(b), activation, &mut y);
        let mut dy = dy.to_vec();
        backward_finish(activation, &y, &mut dy, Some(&mut db));
        backward_weight(&dy, x, &mut dw, rows, inputs, outputs);
        backward_input(&dy, w, &mut dx, rows, inputs, outputs);
        [y, dw, db, dx]
    }

    const FINISHES: [Option<Activation>; 3] = [None, Some(Activation::Relu), Some(Activation::Tanh)];

    const SHAPES: [(usize, usize, usize); 4] = [(1, 1, 1), (3, 5, 4), (9, 20, 1), (17, 33, 12)];

    fn arguments<T: Float>((rows, inputs, outputs): (usize, usize, usize)) -> [Vec<T>; 4] {
        let of = |len, seed| values(len, seed, 1.0);
        [of(outputs * inputs, 1), of(outputs, 2), of(rows * inputs, 3), of(rows * outputs, 4)]
    }

    fn all() -> impl Iterator<Item = (Option<Activation>, (usize, usize, usize))> {
        FINISHES.into_iter().flat_map(|activation| SHAPES.map(|shape| (activation, shape)))
    }

    #[test]
    fn gradients_are_those_of_differences() {
        for (activation, shape) in all() {
            let (rows, inputs, outputs) = shape;
            let [w, b, x, dy] = arguments::<f64>(shape);
            let [_, dw, db, dx] = run(activation, [&w, &b, &x, &dy], shape);
            let loss = |w: &[f64], b: &[f64], x: &[f64]| {
                let mut y = vec![0.0; rows * outputs];
                forward(w, x, &mut y, rows, inputs, outputs);
                finish(Some(b), activation, &mut y);
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
            };
            differences("dw", &w, &dw, |w| loss(w, &b, &x));
            differences("db", &b, &db, |b| loss(&w, b, &x));
            differences("dx", &x, &dx, |x| loss(&w, &b, x));
        }
    }

    #[test]
    fn f32_agrees_with_f64() {
        for (activation, shape) in all() {
            let (narrow, wide) = (arguments::<f32>(shape), arguments::<f64>(shape));
            let narrow = run(activation, narrow.each_ref().map(Vec::as_slice), shape);
            let wide = run(activation, wide.each_ref().map(Vec::as_slice), shape);
            for (narrow, wide) in narrow.iter().zip(&wide) {
                close("linear", &widened(narrow), wide, 1e-5);
            }
        }
    }

    /// What is fused has the bits of what is done step by step.
    #[test]
    fn finishing_is_bias_then_activation() {
        let shape = (17, 33, 12);
        let [w, b, x, dy] = arguments::<f32>(shape);
        for activation in FINISHES.into_iter().flatten() {
            let [fused, _, db, _] = run(Some(activation), [&w, &b, &x, &dy], shape);
            let [mut y, ..] = run(None, [&w, &b, &x, &dy], shape);
            activation::forward_in_place(activation, &mut y);
            assert_eq!(fused, y);
            let mut slopes = dy.clone();
            activation::backward(activation, &[], &y, &mut slopes);
            let [_, _, sums, _] = run(None, [&w, &b, &x, &slopes], shape);
            assert_eq!(db, sums);
            let mut alone = vec![0.0; y.len()];
            forward(&w, &x, &mut alone, shape.0, shape.1, shape.2);
            let mut slow = alone.clone();
            finish(None, Some(activation), &mut alone);
            activation::forward_in_place(activation, &mut slow);
            assert_eq!(alone, slow);
        }
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
            None,
            [
                &[0.5, -1.0, 2.0, 1.5, 0.25, -0.75],
                &[0.125, -0.5],
                &[1.0, 2.0, 3.0, -1.0, 0.5, 4.0],
                &[1.0, -2.0, 0.5, 3.0],
            ],
            (2, 3, 2),
        );
        assert_eq!(y, [4.625, -0.75, 7.125, -4.875]);
        assert_eq!(dw, [0.5, 2.25, 5.0, -5.0, -2.5, 6.0]);
        assert_eq!(db, [1.5, 1.0]);
        assert_eq!(dx, [-2.5, -1.5, 3.5, 4.75, 0.25, -1.25]);
    }
}
