//! `torch.optim.Adam` and `AdamW`, in step t counted from 1:
//!
//! ```text
//! g ← g + weight_decay · w                   Adam
//! w ← w - lr · weight_decay · w              AdamW
//! m ← β₁ m + (1 - β₁) g
//! v ← β₂ v + (1 - β₂) g²
//! w ← w - lr / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + eps)
//! ```

use crate::Float;
use crate::run::spec;
use crate::simd::wide;

/// One step's numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<T> {
    /// Added to the gradient, times the weight.
    coupled_decay: T,
    /// What is left of a weight before the step.
    kept: T,
    /// 1 - β₁
    first_gain: T,
    /// β₂ and 1 - β₂
    second: [T; 2],
    /// lr / (1 - β₁ᵗ)
    rate: T,
    /// 1 / √(1 - β₂ᵗ)
    unbias: T,
    eps: T,
}

impl<T: Float> Step<T> {
    /// Adam; `step` counts from 0.
    pub(super) fn coupled(spec: &spec::Adam, step: u64, lr: f64) -> Self {
        Self { coupled_decay: T::from_f64(spec.weight_decay), ..Self::undecayed(spec, step, lr) }
    }

    /// AdamW; `step` counts from 0.
    pub(super) fn decoupled(spec: &spec::Adam, step: u64, lr: f64) -> Self {
        Self { kept: T::from_f64(1.0 - lr * spec.weight_decay), ..Self::undecayed(spec, step, lr) }
    }

    fn undecayed(spec: &spec::Adam, step: u64, lr: f64) -> Self {
        let (first, second) = spec.betas;
        let t = step as f64 + 1.0;
        Self {
            coupled_decay: T::zero(),
            kept: T::one(),
            first_gain: T::from_f64(1.0 - first),
            second: [second, 1.0 - second].map(T::from_f64),
            rate: T::from_f64(lr / (1.0 - libm::pow(first, t))),
            unbias: T::from_f64(1.0 / (1.0 - libm::pow(second, t)).sqrt()),
            eps: T::from_f64(spec.eps),
        }
    }

    pub(super) fn update(
        &self,
        gradient: &[T],
        weights: &[T],
        first: &mut [T],
        second: &mut [T],
        next: &mut [T],
    ) {
        wide(
            #[inline(always)]
            || {
                for ((((g, w), m), v), next) in gradient.iter().zip(weights).zip(first).zip(second).zip(next)
                {
                    let g = *g + self.coupled_decay * *w;
                    // As PyTorch's lerp; it keeps a mean that equals the gradient.
                    *m += self.first_gain * (g - *m);
                    *v = self.second[0] * *v + self.second[1] * g * g;
                    *next = *w * self.kept - self.rate * (*m / ((*v).sqrt() * self.unbias + self.eps));
                }
            },
        );
    }
}
