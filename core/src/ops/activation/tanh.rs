//! y = tanh x, dx = (1 - y²) dy.

use super::Function;
use crate::Float;

#[derive(Clone, Copy)]
pub(super) struct Tanh;

impl<T: Float> Function<T> for Tanh {
    #[inline(always)]
    fn value(self, x: T) -> T {
        x.tanh()
    }

    #[inline(always)]
    fn backward(self, y: T, dy: T) -> T {
        dy * (T::one() - y * y)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use crate::run::spec::Activation;

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([-8, -1.5, -0.25, 0, 0.5, 2, 6], requires_grad=True)
    // y = torch.tanh(x)
    // y.backward(torch.tensor([1, -2, 0.5, 3, 1.5, -1, 0.75]))
    // print(y.tolist(), x.grad.tolist())
    #[test]
    fn golden_values() {
        golden(
            Activation::Tanh,
            [
                -0.9999997749296758,
                -0.9051482536448664,
                -0.24491866240370913,
                0.0,
                0.4621171572600098,
                0.9640275800758169,
                0.9999877116507956,
            ],
            [
                4.5014059765485253e-07,
                -0.3614132778472972,
                0.470007424403189,
                3.0,
                1.179671599448891,
                -0.07065082485316443,
                1.843241055397723e-05,
            ],
        );
    }
}
