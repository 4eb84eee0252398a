//! With d = y - t: d²/2 within ±delta, delta (|d| - delta/2) outside; the derivative is d, clamped to ±delta.
//! As `torch.nn.HuberLoss`. Huber, 1964.

use super::elementwise::Elementwise;
use crate::Float;

#[derive(Clone, Copy)]
pub(super) struct Huber<T> {
    pub(super) delta: T,
}

impl<T: Float> Elementwise<T> for Huber<T> {
    #[inline(always)]
    fn value(self, y: T, t: T) -> T {
        let half = T::from_f64(0.5);
        let size = (y - t).abs();
        let far = self.delta * (size - half * self.delta);
        if size < self.delta { half * size * size } else { far }
    }
    #[inline(always)]
    fn slope(self, y: T, t: T) -> T {
        let d = y - t;
        let d = if d > self.delta { self.delta } else { d };
        if d < -self.delta { -self.delta } else { d }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use crate::run::spec::Loss;

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([[1., -2., 0.], [0.25, 3., 5.]], requires_grad=True)
    // t = torch.tensor([[1., 0., 0.5], [0., 1.5, -1.]])
    // losses = torch.nn.functional.huber_loss(x, t, reduction="none", delta=1.5).mean(1)
    // losses.sum().backward()
    // print(losses.tolist(), x.grad.flatten().tolist())
    #[test]
    fn golden_values() {
        golden(
            Loss::Huber { delta: 1.5 },
            3,
            &[1.0, -2.0, 0.0, 0.25, 3.0, 5.0],
            &[1.0, 0.0, 0.5, 0.0, 1.5, -1.0],
            &[0.6666666666666666, 3.0104166666666665],
            &[0.0, -0.5, -0.16666666666666666, 0.08333333333333333, 0.5, 0.5],
        );
    }
}
