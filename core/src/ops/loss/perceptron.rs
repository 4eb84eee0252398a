//! max(0, -t y) with targets ±1; the derivative is -t where t y ≤ 0, else 0.
//!
//! At t y = 0 any derivative from -t to 0 is a subgradient. It is -t here, because Rosenblatt's rule
//! (1958) corrects whenever t y ≤ 0: with 0 a unit that starts at zero would never learn.

use super::elementwise::{Elementwise, sign_of_class};
use crate::Float;

#[derive(Clone, Copy)]
pub(super) struct Perceptron;

impl<T: Float> Elementwise<T> for Perceptron {
    #[inline(always)]
    fn target(self, class: u32) -> T {
        sign_of_class(class)
    }
    #[inline(always)]
    fn value(self, y: T, t: T) -> T {
        // NaN is not above zero and goes through.
        if t * y >= T::zero() { T::zero() } else { -(t * y) }
    }
    #[inline(always)]
    fn slope(self, y: T, t: T) -> T {
        if t * y > T::zero() { T::zero() } else { -t }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use crate::ops::loss::{Targets, forward_backward};
    use crate::run::spec::Loss;

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([[1., -2., 0.5], [0.25, 3., -5.]], requires_grad=True)
    // t = torch.tensor([[1., 1., -1.], [-1., 1., -1.]])
    // losses = torch.relu(-t*x).mean(1)
    // losses.sum().backward()
    // print(losses.tolist(), x.grad.flatten().tolist())
    #[test]
    fn golden_values() {
        golden(
            Loss::Perceptron,
            3,
            &[1.0, -2.0, 0.5, 0.25, 3.0, -5.0],
            &[1.0, 1.0, -1.0, -1.0, 1.0, -1.0],
            &[0.8333333333333334, 0.08333333333333333],
            &[-0.0, -0.3333333333333333, 0.3333333333333333, 0.3333333333333333, -0.0, 0.0],
        );
    }

    #[test]
    fn an_output_of_zero_is_corrected() {
        let (mut losses, mut gradient) = ([f64::NAN; 2], [f32::NAN; 2]);
        let targets = Targets::Classes(&[0, 1]);
        forward_backward(Loss::Perceptron, &[0.0; 2], targets, 1, None, &mut losses, &mut gradient);
        assert_eq!((losses, gradient), ([0.0; 2], [1.0, -1.0]));
    }
}
