//! One piece of an evaluation: what a model gives on some rows, as [`Sums`].
//!
//! Rows are evaluated in file order in pieces of [`PIECE_ROWS`], and sums
//! are added in piece order: whoever computes which piece, and the `evaluate` command alone, get the same
//! digits.

use std::ops::Range;

use crate::metrics::{Kind, Sums};
use crate::model::{Labels, Microbatch, Model, Target, Weights, Workspace};
use crate::numerics::PIECE_ROWS;
use crate::run::spec::Loss;

/// The rows of each piece, in order.
pub fn pieces(rows: u64) -> impl Iterator<Item = Range<u64>> {
    let size = PIECE_ROWS as u64;
    (0..rows.div_ceil(size)).map(move |piece| piece * size..((piece + 1) * size).min(rows))
}

/// Evaluates the rows of one piece, without dropout. The outputs stay in the workspace.
pub fn piece(
    model: &Model,
    weights: &impl Weights<f32>,
    workspace: &mut Workspace<f32>,
    microbatch: &mut Microbatch<f32>,
) -> Sums {
    workspace.load(microbatch);
    workspace.forward(model, weights, None);
    let rows = workspace.rows() as u64;
    // Over rows, in their order. Counts and errors are of rows as they are: an accuracy is a share of rows.
    let loss = workspace.losses(model).iter().sum();
    let mut sums = Sums { rows, weight: workspace.weight(), loss, ..Sums::default() };
    let width = model.outputs().max(1);
    let outputs = workspace.output().chunks_exact(width);
    match workspace.labels() {
        Labels::Classes(classes) => {
            let hits = outputs.zip(classes).filter(|(row, class)| class_of(model.loss(), row) == **class);
            sums.correct = hits.count() as u64;
        }
        Labels::Values(targets) => {
            for (row, targets) in outputs.zip(targets.chunks_exact(width)) {
                add_errors(&mut sums, row, targets);
            }
        }
    }
    sums
}

/// The class that a row of outputs stands for: the first of the greatest for cross-entropy; of two
/// classes the second if the output is above 0.
pub fn class_of(loss: Loss, outputs: &[f32]) -> u32 {
    let greatest = |(best, most): (u32, f32), (class, output): (u32, &f32)| {
        if *output > most { (class, *output) } else { (best, most) }
    };
    match loss {
        Loss::CrossEntropy => (0..).zip(outputs).fold((0, f32::NEG_INFINITY), greatest).0,
        _ => outputs.first().is_some_and(|output| *output > 0.0).into(),
    }
}

/// What is reported of rows with such targets, numbers being as they are learnt.
pub const fn kind(target: Target) -> Kind {
    match target {
        Target::Classes(_) => Kind::Classes,
        Target::Values(_) => Kind::Numbers { unit: 1.0 },
    }
}

/// Adds a row's means over its outputs.
fn add_errors(sums: &mut Sums, row: &[f32], targets: &[f32]) {
    let width = row.len() as f64;
    let mean = |of: &dyn Fn(f64, f64) -> f64| {
        let pairs = row.iter().zip(targets);
        pairs.map(|(y, t)| of(f64::from(*y), f64::from(*t))).sum::<f64>() / width
    };
    sums.absolute_error += mean(&|y, t| (y - t).abs());
    sums.squared_error += mean(&|y, t| (y - t) * (y - t));
    sums.target += mean(&|_, t| t);
    sums.target_squared += mean(&|_, t| t * t);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Flat;
    use crate::run::spec::{self, Init, Layer};

    fn evaluated(loss: Loss, outputs: usize, target: Target, rows: &[f32], labels: Labels<f32>) -> Sums {
        let layers = vec![Layer::Linear { outputs, bias: false, init: Init::Zeros }];
        let model = Model::new(&spec::Model { loss, layers }, &[outputs], target).unwrap();
        // The identity: outputs are the rows themselves.
        let mut weights = vec![0.0; outputs * outputs];
        weights.iter_mut().step_by(outputs + 1).for_each(|weight| *weight = 1.0);
        let rows_count = rows.len() / outputs;
        let mut microbatch =
            Microbatch { shard: 0, rows: rows_count, values: rows.to_vec(), labels, weights: Vec::new() };
        piece(&model, &Flat::new(&model, &weights), &mut Workspace::new(&model), &mut microbatch)
    }

    #[test]
    fn every_row_is_in_one_piece() {
        assert_eq!(pieces(0).count(), 0);
        assert_eq!(pieces(21).map(|rows| rows.end).collect::<Vec<_>>(), [21]);
        assert_eq!(pieces(512).collect::<Vec<_>>(), [0..256, 256..512]);
        assert_eq!(pieces(513).collect::<Vec<_>>(), [0..256, 256..512, 512..513]);
    }

    #[test]
    fn classes_by_hand() {
        let rows = [1.0, 2.0, 0.0, 5.0, 5.0, 5.0, -1.0, -2.0, -3.0];
        let labels = Labels::Classes(vec![1, 0, 2]);
        let sums = evaluated(Loss::CrossEntropy, 3, Target::Classes(3), &rows, labels);
        assert_eq!((sums.rows, sums.weight, sums.correct), (3, 3.0, 2));
        // ln(1 + e⁻¹ + e⁻²) + ln 3 + ln(1 + e + e²)
        let expected = 0.4076059644443803 + 1.0986122886681098 + 2.4076059644443806;
        assert!((sums.loss - expected).abs() < 1e-5, "{}", sums.loss);
    }

    #[test]
    fn two_classes_split_at_zero() {
        let labels = Labels::Classes(vec![0, 0, 1, 1]);
        let sums = evaluated(Loss::Hinge, 1, Target::Classes(2), &[-1.0, 0.0, 0.5, -0.5], labels);
        assert_eq!(sums.correct, 3);
        assert_eq!(sums.loss, 0.0 + 1.0 + 0.5 + 1.5);
    }

    #[test]
    fn numbers_are_means_over_outputs() {
        let labels = Labels::Values(vec![1.0, 1.0, 0.0, 4.0]);
        let sums = evaluated(Loss::MeanSquaredError, 2, Target::Values(2), &[1.0, 3.0, 0.0, 1.0], labels);
        let expected = Sums {
            rows: 2,
            weight: 2.0,
            loss: 2.0 + 4.5,
            correct: 0,
            absolute_error: 1.0 + 1.5,
            squared_error: 2.0 + 4.5,
            target: 1.0 + 2.0,
            target_squared: 1.0 + 8.0,
        };
        assert_eq!(sums, expected);
    }

    #[test]
    fn a_row_of_no_numbers_has_a_class() {
        assert_eq!(class_of(Loss::CrossEntropy, &[f32::NAN, f32::NAN]), 0);
        assert_eq!(class_of(Loss::CrossEntropy, &[f32::NAN, 1.0]), 1);
        assert_eq!(class_of(Loss::BinaryCrossEntropy, &[f32::NAN]), 0);
    }
}
