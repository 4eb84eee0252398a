//! Elementwise functions: y = f(x), dx = f'(x) dy. A file each; here is what they share.

mod gelu;
mod leaky_relu;
mod pass;
mod relu;
mod sigmoid;
mod tanh;

pub(super) use sigmoid::value as sigmoid;

use crate::Float;
use crate::run::spec::Activation;
use pass::{Backward, BackwardBiased, Forward, ForwardBiased};

/// What is the same for every element.
trait Function<T>: Copy {
    /// f(x)
    fn value(self, x: T) -> T;

    /// f'(x) dy, of y or of x, as [`derivative_from_output`] says.
    fn backward(self, side: T, dy: T) -> T;
}

fn dispatch<T: Float>(kind: Activation, pass: impl pass::Pass<T>) {
    match kind {
        Activation::Sigmoid => pass.run(sigmoid::Sigmoid),
        Activation::Tanh => pass.run(tanh::Tanh),
        Activation::Relu => pass.run(relu::Relu),
        Activation::LeakyRelu { slope } => pass.run(leaky_relu::LeakyRelu(T::from_f64(slope))),
        Activation::Gelu => pass.run(gelu::Gelu),
    }
}

/// Overwrites `y` with f(x).
pub fn forward<T: Float>(kind: Activation, x: &[T], y: &mut [T]) {
    y.copy_from_slice(x);
    forward_in_place(kind, y);
}

/// Replaces each x by f(x).
pub fn forward_in_place<T: Float>(kind: Activation, values: &mut [T]) {
    dispatch(kind, Forward { values });
}

/// Replaces each x of rows as long as `bias` by f(x + its bias).
pub fn forward_biased<T: Float>(kind: Activation, bias: &[T], values: &mut [T]) {
    dispatch(kind, ForwardBiased { bias, values });
}

/// Whether f'(x) is a function of y = f(x), so that x need not be kept.
pub fn derivative_from_output(kind: Activation) -> bool {
    match kind {
        Activation::Sigmoid | Activation::Tanh | Activation::Relu => true,
        // Only then does the output's sign tell the input's.
        Activation::LeakyRelu { slope } => slope > 0.0,
        Activation::Gelu => false,
    }
}

/// Turns dL/dy into dL/dx in place. `x` is read only if [`derivative_from_output`] is false (it may be
/// empty otherwise), `y` only if it is true.
pub fn backward<T: Float>(kind: Activation, x: &[T], y: &[T], dy: &mut [T]) {
    let side = if derivative_from_output(kind) { y } else { x };
    dispatch(kind, Backward { side, dy });
}

/// The same where [`derivative_from_output`] is true, and overwrites `db` with the sum over rows of the
/// same length of dL/dx, in row order.
pub fn backward_biased<T: Float>(kind: Activation, y: &[T], dy: &mut [T], db: &mut [T]) {
    dispatch(kind, BackwardBiased { y, dy, db });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{close, differences, values, widened};

    const KINDS: [Activation; 7] = [
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.01 },
        Activation::LeakyRelu { slope: 0.0 },
        Activation::LeakyRelu { slope: -0.5 },
        Activation::Gelu,
    ];

    /// (y, dx), with only the slice that the contract says is read.
    pub(super) fn run<T: Float>(kind: Activation, x: &[T], dy: &[T]) -> (Vec<T>, Vec<T>) {
        let (mut y, mut dx) = (vec![T::zero(); x.len()], dy.to_vec());
        forward(kind, x, &mut y);
        if derivative_from_output(kind) {
            backward(kind, &[], &y, &mut dx);
        } else {
            backward(kind, x, &[], &mut dx);
        }
        (y, dx)
    }

    /// What PyTorch gives for these x and dy, in f64 and f32.
    #[track_caller]
    pub(super) fn golden(kind: Activation, y: [f64; 7], dx: [f64; 7]) {
        let x = [-8.0, -1.5, -0.25, 0.0, 0.5, 2.0, 6.0];
        let dy = [1.0, -2.0, 0.5, 3.0, 1.5, -1.0, 0.75];
        let got = run::<f64>(kind, &x, &dy);
        close("y", &got.0, &y, 1e-14);
        close("dx", &got.1, &dx, 1e-14);
        let got = run::<f32>(kind, &x.map(|v| v as f32), &dy.map(|v| v as f32));
        close("y in f32", &widened(&got.0), &y, 1e-6);
        close("dx in f32", &widened(&got.1), &dx, 1e-6);
    }

    #[test]
    fn gradients_are_those_of_differences() {
        for kind in KINDS {
            let (x, dy) = (values::<f64>(100, 1, 4.0), values::<f64>(100, 2, 1.0));
            let (_, dx) = run(kind, &x, &dy);
            differences(&format!("{kind:?}"), &x, &dx, |x| {
                let mut y = x.to_vec();
                forward_in_place(kind, &mut y);
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
            });
        }
    }

    #[test]
    fn f32_agrees_with_f64() {
        for kind in KINDS {
            for size in [0.01, 1.0, 10.0, 60.0] {
                let narrow = run(kind, &values::<f32>(999, 1, size), &values(999, 2, 1.0));
                let wide = run(kind, &values::<f64>(999, 1, size), &values(999, 2, 1.0));
                close(&format!("{kind:?}"), &widened(&narrow.0), &wide.0, 1e-5);
                close(&format!("{kind:?}'"), &widened(&narrow.1), &wide.1, 1e-5);
            }
        }
    }

    #[test]
    fn nan_goes_through() {
        for kind in KINDS {
            let (y, _) = run(kind, &[f32::NAN; 9], &[1.0; 9]);
            assert!(y.iter().all(|y| y.is_nan()), "{kind:?}");
        }
    }

    /// The bits must not depend on where an element falls in a vector.
    #[test]
    fn an_element_alone_gives_the_same_bits() {
        for kind in KINDS {
            let (x, dy) = (values::<f32>(37, 3, 5.0), values::<f32>(37, 4, 1.0));
            let together = run(kind, &x, &dy);
            for i in 0..x.len() {
                let (y, dx) = run(kind, &x[i..=i], &dy[i..=i]);
                assert_eq!((y[0], dx[0]), (together.0[i], together.1[i]), "{kind:?}");
            }
        }
    }
}
