//! The learning rate's course: a function of the step and of the run's steps.

use std::f64::consts::PI;

use crate::run::spec::{Schedule, Shape};

/// The factor by which the learning rate is multiplied in a step (counted from 0) of a run of
/// `total_steps`.
///
/// Defined for any step: past the run's end, [`Shape::Linear`] and [`Shape::Cosine`] stay at their end.
/// A [`Shape::Step`] of 0 steps never falls.
pub fn factor(schedule: &Schedule, step: u64, total_steps: u64) -> f64 {
    let warmup = schedule.warmup_steps;
    let Some(t) = step.checked_sub(warmup) else {
        return (step as f64 + 1.0) / (warmup as f64 + 1.0);
    };
    let progress = match total_steps.saturating_sub(warmup) {
        0 => 1.0,
        rest => (t as f64 / rest as f64).min(1.0),
    };
    match schedule.shape {
        Shape::Constant => 1.0,
        Shape::Step { every, factor } => libm::pow(factor, t.checked_div(every).unwrap_or(0) as f64),
        Shape::Exponential { gamma } => libm::pow(gamma, t as f64),
        Shape::Linear { end } => 1.0 + (end - 1.0) * progress,
        Shape::Cosine { end } => end + (1.0 - end) * 0.5 * (1.0 + libm::cos(PI * progress)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(warmup_steps: u64, shape: Shape, expected: [f64; 12]) {
        for (step, expected) in expected.into_iter().enumerate() {
            let found = factor(&Schedule { warmup_steps, shape }, step as u64, 12);
            assert!((found - expected).abs() < 1e-12, "{shape:?} at {step}: {found}, not {expected}");
        }
    }

    /// ```python
    /// import torch
    /// L = torch.optim.lr_scheduler
    /// def course(make):
    ///     o = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    ///     s, factors = make(o), []
    ///     for _ in range(12):
    ///         factors.append(o.param_groups[0]["lr"]); o.step(); s.step()
    ///     print(factors)
    /// def warm(o, after):
    ///     return L.SequentialLR(o, [L.LinearLR(o, 1 / 4, 1.0, 3), after], [3])
    /// course(lambda o: L.StepLR(o, 4, 0.5))
    /// course(lambda o: L.ExponentialLR(o, 0.9))
    /// course(lambda o: warm(o, L.LinearLR(o, 1.0, 0.1, 9)))
    /// course(lambda o: warm(o, L.CosineAnnealingLR(o, 9, 0.1)))
    /// ```
    #[test]
    fn courses_are_those_of_pytorch() {
        check(
            0,
            Shape::Step { every: 4, factor: 0.5 },
            [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25],
        );
        check(
            0,
            Shape::Exponential { gamma: 0.9 },
            [
                1.0,
                0.9,
                0.81,
                0.7290000000000001,
                0.6561000000000001,
                0.5904900000000002,
                0.5314410000000002,
                0.47829690000000014,
                0.43046721000000016,
                0.38742048900000015,
                0.34867844010000015,
                0.31381059609000017,
            ],
        );
        check(
            3,
            Shape::Linear { end: 0.1 },
            [
                0.25,
                0.5,
                0.75,
                1.0,
                0.9,
                0.7999999999999999,
                0.7,
                0.6,
                0.5,
                0.4,
                0.30000000000000004,
                0.20000000000000004,
            ],
        );
        check(
            3,
            Shape::Cosine { end: 0.1 },
            [
                0.25,
                0.5,
                0.75,
                1.0,
                0.9728616793536587,
                0.89471999940354,
                0.7749999999999999,
                0.6281416799501187,
                0.4718583200498814,
                0.3250000000000001,
                0.20528000059645996,
                0.12713832064634126,
            ],
        );
    }

    #[test]
    fn every_input_has_a_factor() {
        let shapes = [
            Shape::Constant,
            Shape::Step { every: 0, factor: 0.1 },
            Shape::Exponential { gamma: 0.5 },
            Shape::Linear { end: 0.0 },
            Shape::Cosine { end: 0.0 },
        ];
        for shape in shapes {
            for warmup_steps in [0, 1, 10, u64::MAX] {
                for (step, total) in
                    [(0, 0), (0, 10), (10, 10), (11, 10), (u64::MAX, u64::MAX), (u64::MAX, 1)]
                {
                    let found = factor(&Schedule { warmup_steps, shape }, step, total);
                    assert!((0.0..=1.0).contains(&found), "{shape:?} {warmup_steps} {step} {total}: {found}");
                }
            }
        }
    }
}
