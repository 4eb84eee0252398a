//! y = x Φ(x), dx = (Φ(x) + x φ(x)) dy, with the normal distribution's Φ(x) = (1 + erf(x/√2))/2 and
//! density φ(x) = e^(-x²/2)/√(2π). Hendrycks and Gimpel, 2016; the exact form, not the tanh one.

use std::f64::consts::FRAC_1_SQRT_2;

use super::Function;
use crate::Float;

/// 1/√(2π)
const DENSITY_AT_ZERO: f64 = 0.398_942_280_401_432_7;

#[derive(Clone, Copy)]
pub(super) struct Gelu;

impl<T: Float> Function<T> for Gelu {
    #[inline(always)]
    fn value(self, x: T) -> T {
        x * below(x)
    }

    #[inline(always)]
    fn backward(self, x: T, dy: T) -> T {
        let density = T::from_f64(DENSITY_AT_ZERO) * (T::from_f64(-0.5) * x * x).exp();
        dy * (below(x) + x * density)
    }
}

/// Φ
#[inline(always)]
fn below<T: Float>(x: T) -> T {
    T::from_f64(0.5) * (T::one() + (x * T::from_f64(FRAC_1_SQRT_2)).erf())
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use crate::run::spec::Activation;

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([-8, -1.5, -0.25, 0, 0.5, 2, 6], requires_grad=True)
    // y = torch.nn.functional.gelu(x)
    // y.backward(torch.tensor([1, -2, 0.5, 3, 1.5, -1, 0.75]))
    // print(y.tolist(), x.grad.tolist())
    #[test]
    fn golden_values() {
        golden(
            Activation::Gelu,
            [
                -4.884981308350689e-15,
                -0.10021080190328704,
                -0.10032341857926907,
                0.0,
                0.34573123063700656,
                1.9544997361036416,
                5.999999994080474,
            ],
            [
                -3.9807546004751306e-14,
                0.2549383844599592,
                0.152313322558182,
                1.5,
                1.3012426869842444,
                -1.085231801078197,
                0.750000026601532,
            ],
        );
    }
}
