//! y = 1/(1 + e⁻ˣ), dx = y (1 - y) dy.

use super::Function;
use crate::Float;

#[inline(always)]
pub(crate) fn value<T: Float>(x: T) -> T {
    T::one() / (T::one() + (-x).exp())
}

#[derive(Clone, Copy)]
pub(super) struct Sigmoid;

impl<T: Float> Function<T> for Sigmoid {
    #[inline(always)]
    fn value(self, x: T) -> T {
        value(x)
    }

    #[inline(always)]
    fn backward(self, y: T, dy: T) -> T {
        dy * (y * (T::one() - y))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use crate::run::spec::Activation;

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([-8, -1.5, -0.25, 0, 0.5, 2, 6], requires_grad=True)
    // y = torch.sigmoid(x)
    // y.backward(torch.tensor([1, -2, 0.5, 3, 1.5, -1, 0.75]))
    // print(y.tolist(), x.grad.tolist())
    #[test]
    fn golden_values() {
        golden(
            Activation::Sigmoid,
            [
                0.0003353501304664781,
                0.18242552380635635,
                0.43782349911420193,
                0.5,
                0.6224593312018546,
                0.8807970779778823,
                0.9975273768433653,
            ],
            [
                0.00033523767075647424,
                -0.2982929041406657,
                0.12306704136879917,
                0.75,
                0.3525055683023917,
                -0.10499358540350662,
                0.001849881968519948,
            ],
        );
    }
}
