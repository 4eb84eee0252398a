//! A loss far above those before it: `train.loss_spike`.
//!
//! A step whose loss exceeds `factor` times the median of the last `window` losses is left out. It depends
//! on the run's own losses alone, so every cluster, every resume and `verify` leave out the same steps.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::run::spec::LossSpike;

/// The newest losses of steps that were not left out, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recent(VecDeque<f64>);

impl Recent {
    /// The median that a step's loss is too far above, if it is; of an even window, the mean of the two in
    /// the middle. None is before the window is full.
    pub fn exceeded(&self, rule: LossSpike, loss: f64) -> Option<f64> {
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

    /// A step with this loss is done.
    pub fn push(&mut self, rule: LossSpike, loss: f64) {
        self.0.push_back(loss);
        while self.0.len() as u64 > rule.window {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(window: u64, losses: &[f64]) -> (LossSpike, Recent) {
        let (rule, mut recent) = (LossSpike { factor: 2.0, window }, Recent::default());
        losses.iter().for_each(|loss| recent.push(rule, *loss));
        (rule, recent)
    }

    #[test]
    fn the_median_of_a_full_window_counts() {
        let (rule, recent) = after(3, &[9.0, 3.0, 1.0]);
        assert_eq!((recent.exceeded(rule, 6.0), recent.exceeded(rule, 6.1)), (None, Some(3.0)));
        let (rule, recent) = after(4, &[9.0, 3.0, 1.0]);
        assert_eq!(recent.exceeded(rule, 1e9), None);
        let (rule, recent) = after(4, &[70.0, 9.0, 3.0, 1.0, 5.0]);
        assert_eq!((recent.exceeded(rule, 8.0), recent.exceeded(rule, 8.1)), (None, Some(4.0)));
        let (rule, recent) = after(1, &[5.0, 1.0]);
        assert_eq!((recent.exceeded(rule, 2.0), recent.exceeded(rule, f64::NAN)), (None, None));
        assert_eq!(recent.exceeded(rule, 2.5), Some(1.0));
    }

    #[test]
    fn it_is_stored_without_losing_a_bit() {
        let (_, recent) = after(3, &[0.1, 1.0 / 3.0, f64::MIN_POSITIVE]);
        let text = serde_json::to_string(&recent).unwrap();
        assert_eq!(serde_json::from_str::<Recent>(&text).unwrap(), recent);
    }
}
