//! A loss far above those before it: `train.loss_spike`.
//!
//! A step whose loss exceeds `factor` times the median of the last `window` losses is left out. It depends
//! on the run's own losses alone, so every cluster, every resume and `verify` leave out the same steps.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::gradient::Summary;
use crate::run::spec::LossSpike;

/// The newest losses of steps that were not left out, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recent(VecDeque<f64>);

impl Recent {
    /// The median that a step's loss is too far above, if it is; of an even window, the mean of the two in
    /// the middle. None is before the window is full.
    pub fn exceeded(&self, rule: LossSpike, step: Summary) -> Option<f64> {
        let loss = comparable(step)?;
        if (self.0.len() as u64) < rule.window {
            return None;
        }
        let mut losses: Vec<f64> = self.0.iter().copied().collect();
        losses.sort_by(f64::total_cmp);
        let middle = losses.len() / 2;
        let upper = losses.get(middle).copied()?;
        let lower = if losses.len().is_multiple_of(2) { losses.get(middle.checked_sub(1)?)? } else { &upper };
        let median = (lower + upper) / 2.0;
        (loss > rule.factor * median).then_some(median)
    }

    /// A step is done.
    pub fn push(&mut self, rule: LossSpike, step: Summary) {
        self.0.extend(comparable(step));
        while self.0.len() as u64 > rule.window {
            self.0.pop_front();
        }
    }
}

/// Rows that weigh nothing tell nothing: their mean of 0 would make every other loss a spike.
fn comparable(step: Summary) -> Option<f64> {
    (step.weight != 0.0).then(|| step.mean_loss())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two rows with this mean.
    fn step(loss: f64) -> Summary {
        Summary { loss: 2.0 * loss, weight: 2.0, rows: 2 }
    }

    fn after(window: u64, losses: &[f64]) -> (LossSpike, Recent) {
        let (rule, mut recent) = (LossSpike { factor: 2.0, window }, Recent::default());
        losses.iter().for_each(|loss| recent.push(rule, step(*loss)));
        (rule, recent)
    }

    #[test]
    fn the_median_of_a_full_window_counts() {
        let (rule, recent) = after(3, &[9.0, 3.0, 1.0]);
        assert_eq!((recent.exceeded(rule, step(6.0)), recent.exceeded(rule, step(6.1))), (None, Some(3.0)));
        let (rule, recent) = after(4, &[9.0, 3.0, 1.0]);
        assert_eq!(recent.exceeded(rule, step(1e9)), None);
        let (rule, recent) = after(4, &[70.0, 9.0, 3.0, 1.0, 5.0]);
        assert_eq!((recent.exceeded(rule, step(8.0)), recent.exceeded(rule, step(8.1))), (None, Some(4.0)));
        let (rule, recent) = after(1, &[5.0, 1.0]);
        assert_eq!((recent.exceeded(rule, step(2.0)), recent.exceeded(rule, step(f64::NAN))), (None, None));
        assert_eq!(recent.exceeded(rule, step(2.5)), Some(1.0));
    }

    #[test]
    fn rows_that_weigh_nothing_are_not_compared() {
        let (rule, mut recent) = after(2, &[3.0, 5.0]);
        let nothing = Summary { loss: 0.0, weight: 0.0, rows: 2 };
        (0..2).for_each(|_| recent.push(rule, nothing));
        assert_eq!((recent.exceeded(rule, nothing), recent.exceeded(rule, step(8.1))), (None, Some(4.0)));
    }

    #[test]
    fn it_is_stored_without_losing_a_bit() {
        let (_, recent) = after(3, &[0.1, 1.0 / 3.0, f64::MIN_POSITIVE]);
        let text = serde_json::to_string(&recent).unwrap();
        assert_eq!(serde_json::from_str::<Recent>(&text).unwrap(), recent);
    }
}
