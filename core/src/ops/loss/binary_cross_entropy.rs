//! -t ln σ(y) - (1 - t) ln(1 - σ(y)), computed as max(y, 0) - y t + ln(1 + e^-|y|); the derivative is
//! σ(y) - t. As `torch.nn.BCEWithLogitsLoss`.

use super::elementwise::Elementwise;
use crate::Float;
use crate::ops::activation::sigmoid;

#[derive(Clone, Copy)]
pub(super) struct BinaryCrossEntropy;

impl<T: Float> Elementwise<T> for BinaryCrossEntropy {
    #[inline(always)]
    fn target(self, class: u32) -> T {
        let value = if class == 0 { T::zero() } else { T::one() };
        if class > 1 { T::from_f64(f64::NAN) } else { value }
    }
    #[inline(always)]
    fn value(self, y: T, t: T) -> T {
        y.at_least(T::zero()) - y * t + (-y.abs()).exp().ln_1p()
    }
    #[inline(always)]
    fn slope(self, y: T, t: T) -> T {
        sigmoid(y) - t
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use crate::run::spec::Loss;

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([[1., -2., 0.], [0.25, -30., 50.]], requires_grad=True)
    // t = torch.tensor([[1., 0., 0.5], [0., 1., 1.]])
    // losses = torch.nn.functional.binary_cross_entropy_with_logits(x, t, reduction="none").mean(1)
    // losses.sum().backward()
    // print(losses.tolist(), x.grad.flatten().tolist())
    #[test]
    fn golden_values() {
        golden(
            Loss::BinaryCrossEntropy,
            3,
            &[1.0, -2.0, 0.0, 0.25, -30.0, 50.0],
            &[1.0, 0.0, 0.5, 0.0, 1.0, 1.0],
            &[0.37777895970704695, 10.275313139959644],
            &[-0.08964714045666503, 0.03973430734070585, 0.0, 0.18739216696193267, -0.3333333333333021, 0.0],
        );
    }
}
