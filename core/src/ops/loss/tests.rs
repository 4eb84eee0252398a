//! What must hold for every loss.

use super::*;
use crate::ops::check::{close, differences, values, widened};

const LOSSES: [Loss; 7] = [
    Loss::CrossEntropy,
    Loss::BinaryCrossEntropy,
    Loss::MeanSquaredError,
    Loss::MeanAbsoluteError,
    Loss::Huber { delta: 0.7 },
    Loss::Perceptron,
    Loss::Hinge,
];

fn run<T: Float>(
    loss: Loss,
    outputs: &[T],
    targets: Targets<'_, T>,
    width: usize,
    weights: Option<&[T]>,
) -> (Vec<f64>, Vec<T>) {
    let mut losses = vec![f64::NAN; outputs.len() / width];
    let mut gradient = vec![T::from_f64(f64::NAN); outputs.len()];
    forward_backward(loss, outputs, targets, width, weights, &mut losses, &mut gradient);
    let mut again = vec![0.0; losses.len()];
    forward(loss, outputs, targets, width, weights, &mut again);
    // A NaN's bits mean nothing.
    let bits = |losses: &[f64]| -> Vec<Option<u64>> {
        losses.iter().map(|l| (!l.is_nan()).then_some(l.to_bits())).collect()
    };
    assert_eq!(bits(&again), bits(&losses), "{loss:?}: forward alone");
    (losses, gradient)
}

/// What PyTorch gives, in f64 and f32. Class targets come as numbers.
#[track_caller]
pub(super) fn golden(loss: Loss, width: usize, x: &[f64], t: &[f64], losses: &[f64], gradient: &[f64]) {
    fn of<T: Float>(loss: Loss, width: usize, x: &[f64], t: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let x: Vec<T> = x.iter().map(|v| T::from_f64(*v)).collect();
        let classes: Vec<u32> = t.iter().map(|t| *t as u32).collect();
        let values: Vec<T> = t.iter().map(|v| T::from_f64(*v)).collect();
        let targets = match loss {
            Loss::CrossEntropy => Targets::Classes(&classes),
            _ => Targets::Values(&values),
        };
        let (losses, gradient) = run(loss, &x, targets, width, None);
        (losses, widened(&gradient))
    }
    let got = of::<f64>(loss, width, x, t);
    close("losses", &got.0, losses, 1e-14);
    close("gradient", &got.1, gradient, 1e-14);
    let got = of::<f32>(loss, width, x, t);
    close("losses in f32", &got.0, losses, 1e-6);
    close("gradient in f32", &got.1, gradient, 1e-6);
}

/// Targets that a loss is meant for, rows x width.
fn targets<T: Float>(loss: Loss, rows: usize, width: usize) -> (Vec<u32>, Vec<T>) {
    let classes = (0..rows).map(|r| (r * 7 % width) as u32).collect();
    let sign = |v: T| if v > T::zero() { T::one() } else { -T::one() };
    let half = T::from_f64(0.5);
    let values = values(rows * width, 9, 2.0).into_iter().map(|v: T| match loss {
        Loss::BinaryCrossEntropy => (sign(v) + T::one()) * half,
        Loss::Perceptron | Loss::Hinge => sign(v),
        _ => v,
    });
    (classes, values.collect())
}

fn of<'a, T>(loss: Loss, (classes, values): &'a (Vec<u32>, Vec<T>)) -> Targets<'a, T> {
    if loss == Loss::CrossEntropy { Targets::Classes(classes) } else { Targets::Values(values) }
}

const SHAPES: [(usize, usize); 4] = [(1, 1), (13, 1), (5, 3), (6, 21)];

#[test]
fn gradients_are_those_of_differences() {
    for loss in LOSSES {
        for (rows, width) in SHAPES {
            let (x, t) = (values::<f64>(rows * width, 3, 2.0), targets(loss, rows, width));
            let weights = values::<f64>(rows, 4, 1.0);
            let (_, gradient) = run(loss, &x, of(loss, &t), width, Some(&weights));
            differences(&format!("{loss:?} {rows}x{width}"), &x, &gradient, |x| {
                let mut losses = vec![0.0; rows];
                forward(loss, x, of(loss, &t), width, Some(&weights), &mut losses);
                losses.iter().sum()
            });
        }
    }
}

#[test]
fn f32_agrees_with_f64() {
    for loss in LOSSES {
        for (rows, width) in SHAPES {
            for size in [0.1, 2.0, 40.0] {
                let (x, t) = (values::<f32>(rows * width, 3, size), targets(loss, rows, width));
                let narrow = run(loss, &x, of(loss, &t), width, None);
                let (x, t) = (values::<f64>(rows * width, 3, size), targets(loss, rows, width));
                let wide = run(loss, &x, of(loss, &t), width, None);
                close(&format!("{loss:?}"), &narrow.0, &wide.0, 1e-5);
                close(&format!("{loss:?}'"), &widened(&narrow.1), &wide.1, 1e-5);
            }
        }
    }
}

/// Rows are independent: alone or among others, in a vector or after it, the bits are the same.
#[test]
fn a_row_alone_gives_the_same_bits() {
    for loss in LOSSES {
        for (rows, width) in SHAPES {
            let (x, t) = (values::<f32>(rows * width, 3, 2.0), targets::<f32>(loss, rows, width));
            let (losses, gradient) = run(loss, &x, of(loss, &t), width, None);
            for (row, loss_of_row) in losses.iter().enumerate() {
                let span = row * width..(row + 1) * width;
                let one = (vec![t.0[row]], t.1[span.clone()].to_vec());
                let (l, g) = run(loss, &x[span.clone()], of(loss, &one), width, None);
                assert_eq!((l[0], &g[..]), (*loss_of_row, &gradient[span]), "{loss:?}");
            }
        }
    }
}

#[test]
fn weights_multiply_rows() {
    for loss in LOSSES {
        let (x, t) = (values::<f64>(8, 3, 2.0), targets(loss, 4, 2));
        let plain = run(loss, &x, of(loss, &t), 2, None);
        let weighted = run(loss, &x, of(loss, &t), 2, Some(&[1.0, 0.0, 2.0, 0.5]));
        for (row, weight) in [1.0, 0.0, 2.0, 0.5].into_iter().enumerate() {
            assert_eq!(weighted.0[row], weight * plain.0[row]);
            assert_eq!(weighted.1[2 * row], weight * plain.1[2 * row]);
        }
    }
}

#[test]
fn classes_stand_for_values() {
    let x = values::<f32>(20, 3, 2.0);
    let classes: Vec<u32> = (0..20).map(|i| i % 3 % 2).collect();
    for (loss, first) in [(Loss::BinaryCrossEntropy, 0.0), (Loss::Perceptron, -1.0), (Loss::Hinge, -1.0)] {
        let values: Vec<f32> = classes.iter().map(|c| if *c == 0 { first } else { 1.0 }).collect();
        let by_class = run(loss, &x, Targets::Classes(&classes), 1, None);
        assert_eq!(by_class, run(loss, &x, Targets::Values(&values), 1, None), "{loss:?}");
    }
}

#[test]
fn a_class_that_does_not_exist_is_nan_in_its_row_alone() {
    for loss in [Loss::CrossEntropy, Loss::BinaryCrossEntropy, Loss::Perceptron, Loss::Hinge] {
        let width = if loss == Loss::CrossEntropy { 2 } else { 1 };
        for bad in [2, u32::MAX] {
            let (losses, gradient) =
                run(loss, &vec![0.5; 2 * width], Targets::Classes(&[1, bad]), width, None);
            assert!(losses[0].is_finite() && losses[1].is_nan(), "{loss:?}");
            assert!(gradient[..width].iter().all(|g| g.is_finite()), "{loss:?}");
            assert!(gradient[width..].iter().all(|g: &f32| g.is_nan()), "{loss:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_nan() {
    let nan = |loss, targets: Targets<'_, f64>, width, weights| {
        let (losses, gradient) = run(loss, &[0.5; 4], targets, width, weights);
        losses.iter().all(|l| l.is_nan()) && gradient.iter().all(|g| g.is_nan())
    };
    assert!(nan(Loss::CrossEntropy, Targets::Values(&[0.0; 4]), 2, None));
    assert!(nan(Loss::CrossEntropy, Targets::Classes(&[0]), 2, None));
    assert!(nan(Loss::Hinge, Targets::Classes(&[0, 1]), 2, None));
    assert!(nan(Loss::MeanSquaredError, Targets::Classes(&[0; 4]), 1, None));
    assert!(nan(Loss::MeanSquaredError, Targets::Values(&[0.0; 3]), 2, None));
    assert!(nan(Loss::MeanSquaredError, Targets::Values(&[0.0; 4]), 2, Some(&[1.0])));
}

#[test]
fn nan_in_an_output_reaches_the_loss() {
    for loss in LOSSES {
        let mut x = values::<f32>(20, 3, 2.0);
        x[13] = f32::NAN;
        let t = targets(loss, 2, 10);
        let (losses, _) = run(loss, &x, of(loss, &t), 10, None);
        assert!(losses[0].is_finite() && losses[1].is_nan(), "{loss:?}");
    }
}
