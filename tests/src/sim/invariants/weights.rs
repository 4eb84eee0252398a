//! Weights, optimizer, losses and evaluations equal the oracle's, bit for bit, at every commit.

use lockstep_coordinator::progress::{Progress, StepRecord};
use lockstep_coordinator::reducer::Snapshot;
use lockstep_core::metrics::Sums;

use super::Verdict;
use crate::sim::case::Case;

#[derive(Debug, Default)]
pub(in crate::sim) struct Weights {
    /// A worker lies, and not everything is compared.
    pub(in crate::sim) ignored: bool,
}

impl Weights {
    pub(super) fn step(&self, case: &Case, record: &StepRecord, snapshot: &Snapshot) -> Verdict {
        if self.ignored {
            return Ok(());
        }
        self.snapshot(case, snapshot)?;
        let summary = case.oracle[record.step as usize].summary;
        let loss = summary.mean_loss();
        if record.loss.to_bits() != loss.to_bits() {
            return Err(format!(
                "weights: the loss before W({}) is {}, not {loss}",
                record.step, record.loss
            ));
        }
        Ok(())
    }

    pub(in crate::sim) fn snapshot(&self, case: &Case, snapshot: &Snapshot) -> Verdict {
        if self.ignored {
            return Ok(());
        }
        let step = snapshot.step;
        let truth = &case.oracle[step as usize];
        if bits(&snapshot.weights) != bits(&truth.weights) {
            return Err(format!("weights: W({step}) is {:?}, not {:?}", snapshot.weights, truth.weights));
        }
        let moments = |of: &[(&'static str, Vec<f32>)]| -> Vec<_> {
            of.iter().map(|(name, values)| (*name, bits(values))).collect()
        };
        if moments(&snapshot.optimizer) != moments(&truth.optimizer) {
            return Err(format!("weights: the optimizer at step {step} is not the oracle's"));
        }
        Ok(())
    }

    /// What is reported of the epoch depends on its steps alone.
    pub(super) fn progress(&self, case: &Case, progress: &Progress) -> Verdict {
        if self.ignored {
            return Ok(());
        }
        let steps = case.plan.steps_per_epoch();
        let done = progress.step - progress.step % steps;
        let mean = (done > 0).then(|| {
            let epoch = &case.oracle[(done - steps) as usize + 1..=done as usize];
            let sum = |of: fn(&lockstep_core::gradient::Summary) -> f64| {
                epoch.iter().fold(0.0, |sum, truth| sum + of(&truth.summary))
            };
            (sum(|summary| summary.loss), sum(|summary| summary.weight))
        });
        // An epoch of which every step was left out has no loss.
        let mean = mean.and_then(|(loss, weight)| (weight > 0.0).then_some(loss / weight));
        let samples: u64 =
            case.oracle[..=progress.step as usize].iter().map(|truth| truth.summary.rows).sum();
        if progress.last_epoch_loss != mean || progress.samples != samples {
            return Err(format!(
                "weights: {progress:?}, but the epoch's loss is {mean:?} of {samples} samples"
            ));
        }
        Ok(())
    }

    pub(super) fn evaluation(&self, case: &Case, step: u64, sums: &Sums) -> Verdict {
        if self.ignored {
            return Ok(());
        }
        let truth = &case.oracle[step as usize].evaluation;
        // A row that is too much for training makes the model give NaN elsewhere too; these are equal here.
        let other = |a: f64, b: f64| a.to_bits() != b.to_bits();
        let same_but_loss = Sums { loss: 0.0, ..*sums } == Sums { loss: 0.0, ..*truth };
        if !same_but_loss || other(sums.loss, truth.loss) {
            return Err(format!("weights: the evaluation of W({step}) is {sums:?}, not {truth:?}"));
        }
        Ok(())
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
