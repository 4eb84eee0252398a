//! `torch.optim.SGD` without dampening:
//!
//! ```text
//! g ← g + weight_decay · w
//! b ← momentum · b + g                       b starts at 0
//! g ← g + momentum · b (nesterov), else b
//! w ← w - lr · g
//! ```

use crate::Float;
use crate::simd::wide;

/// One step's numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<T> {
    lr: T,
    momentum: T,
    nesterov: bool,
    weight_decay: T,
}

impl<T: Float> Step<T> {
    pub(super) fn new(lr: f64, momentum: f64, nesterov: bool, weight_decay: f64) -> Self {
        let [lr, momentum, weight_decay] = [lr, momentum, weight_decay].map(T::from_f64);
        Self { lr, momentum, nesterov, weight_decay }
    }

    /// Without momentum.
    pub(super) fn plain(&self, gradient: &[T], weights: &[T], next: &mut [T]) {
        wide(
            #[inline(always)]
            || {
                for ((g, w), next) in gradient.iter().zip(weights).zip(next) {
                    *next = *w - self.lr * (*g + self.weight_decay * *w);
                }
            },
        );
    }

    pub(super) fn with_momentum(&self, gradient: &[T], weights: &[T], buffer: &mut [T], next: &mut [T]) {
        // Two loops: a condition within would have to be taken out of it by the compiler.
        wide(
            #[inline(always)]
            || {
                let elements = gradient.iter().zip(weights).zip(buffer).zip(next);
                if self.nesterov {
                    for (((g, w), b), next) in elements {
                        let g = *g + self.weight_decay * *w;
                        *b = self.momentum * *b + g;
                        *next = *w - self.lr * (g + self.momentum * *b);
                    }
                } else {
                    for (((g, w), b), next) in elements {
                        *b = self.momentum * *b + (*g + self.weight_decay * *w);
                        *next = *w - self.lr * *b;
                    }
                }
            },
        );
    }
}
