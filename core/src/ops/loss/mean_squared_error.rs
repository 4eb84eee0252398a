//! (y - t)²; the derivative is 2 (y - t).

use super::elementwise::Elementwise;
use crate::Float;

#[derive(Clone, Copy)]
pub(super) struct MeanSquaredError;

impl<T: Float> Elementwise<T> for MeanSquaredError {
    #[inline(always)]
    fn value(self, y: T, t: T) -> T {
        (y - t) * (y - t)
    }
    #[inline(always)]
    fn slope(self, y: T, t: T) -> T {
        (y - t) + (y - t)
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
    // losses = torch.nn.functional.mse_loss(x, t, reduction="none").mean(1)
    // losses.sum().backward()
    // print(losses.tolist(), x.grad.flatten().tolist())
    #[test]
    fn golden_values() {
        golden(
            Loss::MeanSquaredError,
            3,
            &[1.0, -2.0, 0.0, 0.25, 3.0, 5.0],
            &[1.0, 0.0, 0.5, 0.0, 1.0, -1.0],
            &[1.4166666666666667, 13.354166666666666],
            &[0.0, -1.3333333333333333, -0.3333333333333333, 0.16666666666666666, 1.3333333333333333, 4.0],
        );
    }
}
