//! y = max(x, 0), dx = dy where y > 0; the derivative at 0 is 0. NaN stays NaN.

use super::Function;
use crate::Float;

#[derive(Clone, Copy)]
pub(super) struct Relu;

impl<T: Float> Function<T> for Relu {
    #[inline(always)]
    fn value(self, x: T) -> T {
        if x <= T::zero() { T::zero() } else { x }
    }

    #[inline(always)]
    fn backward(self, y: T, dy: T) -> T {
        if y <= T::zero() { T::zero() } else { dy }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use crate::run::spec::Activation;

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([-8, -1.5, -0.25, 0, 0.5, 2, 6], requires_grad=True)
    // y = torch.relu(x)
    // y.backward(torch.tensor([1, -2, 0.5, 3, 1.5, -1, 0.75]))
    // print(y.tolist(), x.grad.tolist())
    #[test]
    fn golden_values() {
        golden(Activation::Relu, [0.0, 0.0, 0.0, 0.0, 0.5, 2.0, 6.0], [0.0, 0.0, 0.0, 0.0, 1.5, -1.0, 0.75]);
    }
}
