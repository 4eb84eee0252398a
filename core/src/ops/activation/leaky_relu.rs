//! y = x above zero, slope · x elsewhere; dx = dy or slope · dy, at 0 the latter.

use super::Function;
use crate::Float;

/// With its slope.
#[derive(Clone, Copy)]
pub(super) struct LeakyRelu<T>(pub(super) T);

impl<T: Float> Function<T> for LeakyRelu<T> {
    #[inline(always)]
    fn value(self, x: T) -> T {
        if x > T::zero() { x } else { self.0 * x }
    }

    #[inline(always)]
    fn backward(self, side: T, dy: T) -> T {
        if side > T::zero() { dy } else { self.0 * dy }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use crate::run::spec::Activation;

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([-8, -1.5, -0.25, 0, 0.5, 2, 6], requires_grad=True)
    // y = torch.nn.functional.leaky_relu(x, 0.125)
    // y.backward(torch.tensor([1, -2, 0.5, 3, 1.5, -1, 0.75]))
    // print(y.tolist(), x.grad.tolist())
    #[test]
    fn golden_values() {
        golden(
            Activation::LeakyRelu { slope: 0.125 },
            [-1.0, -0.1875, -0.03125, 0.0, 0.5, 2.0, 6.0],
            [0.125, -0.25, 0.0625, 0.375, 1.5, -1.0, 0.75],
        );
    }

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([-8, -1.5, -0.25, 0, 0.5, 2, 6], requires_grad=True)
    // y = torch.nn.functional.leaky_relu(x, -0.5)
    // y.backward(torch.tensor([1, -2, 0.5, 3, 1.5, -1, 0.75]))
    // print(y.tolist(), x.grad.tolist())
    #[test]
    fn falling_values() {
        golden(
            Activation::LeakyRelu { slope: -0.5 },
            [4.0, 0.75, 0.125, -0.0, 0.5, 2.0, 6.0],
            [-0.5, 1.0, -0.25, -1.5, 1.5, -1.0, 0.75],
        );
    }
}
