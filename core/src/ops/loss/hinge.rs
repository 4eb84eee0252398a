//! max(0, 1 - t y) with targets ±1; the derivative is -t where t y < 1, else 0.

use super::elementwise::{Elementwise, sign_of_class};
use crate::Float;

#[derive(Clone, Copy)]
pub(super) struct Hinge;

impl<T: Float> Elementwise<T> for Hinge {
    #[inline(always)]
    fn target(self, class: u32) -> T {
        sign_of_class(class)
    }
    #[inline(always)]
    fn value(self, y: T, t: T) -> T {
        // NaN is not at least one and goes through.
        if t * y >= T::one() { T::zero() } else { T::one() - t * y }
    }
    #[inline(always)]
    fn slope(self, y: T, t: T) -> T {
        if t * y >= T::one() { T::zero() } else { -t }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use crate::run::spec::Loss;

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([[1.5, -2., 0.5], [0.25, 3., -5.]], requires_grad=True)
    // t = torch.tensor([[1., 1., -1.], [-1., 1., -1.]])
    // losses = torch.relu(1-t*x).mean(1)
    // losses.sum().backward()
    // print(losses.tolist(), x.grad.flatten().tolist())
    #[test]
    fn golden_values() {
        golden(
            Loss::Hinge,
            3,
            &[1.5, -2.0, 0.5, 0.25, 3.0, -5.0],
            &[1.0, 1.0, -1.0, -1.0, 1.0, -1.0],
            &[1.5, 0.4166666666666667],
            &[-0.0, -0.3333333333333333, 0.3333333333333333, 0.3333333333333333, -0.0, 0.0],
        );
    }
}
