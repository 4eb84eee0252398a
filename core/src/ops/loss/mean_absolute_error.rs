//! |y - t|; the derivative is the sign of y - t, and 0 at 0, as in PyTorch.

use super::elementwise::Elementwise;
use crate::Float;

#[derive(Clone, Copy)]
pub(super) struct MeanAbsoluteError;

impl<T: Float> Elementwise<T> for MeanAbsoluteError {
    #[inline(always)]
    fn value(self, y: T, t: T) -> T {
        (y - t).abs()
    }
    #[inline(always)]
    fn slope(self, y: T, t: T) -> T {
        let d = y - t;
        // Zero and NaN are their own sign.
        let not_above = if d < T::zero() { -T::one() } else { d };
        if d > T::zero() { T::one() } else { not_above }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use crate::run::spec::Loss;

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([[1., -2., 0.], [0.25, 3., 5.]], requires_grad=True)
    // t = torch.tensor([[1., 0., 0.5], [0., 1., -1.]])
    // losses = torch.nn.functional.l1_loss(x, t, reduction="none").mean(1)
    // losses.sum().backward()
    // print(losses.tolist(), x.grad.flatten().tolist())
    #[test]
    fn golden_values() {
        golden(
            Loss::MeanAbsoluteError,
            3,
            &[1.0, -2.0, 0.0, 0.25, 3.0, 5.0],
            &[1.0, 0.0, 0.5, 0.0, 1.0, -1.0],
            &[0.8333333333333334, 2.75],
            &[
                0.0,
                -0.3333333333333333,
                -0.3333333333333333,
                0.3333333333333333,
                0.3333333333333333,
                0.3333333333333333,
            ],
        );
    }
}
