//! Losses that are a mean of one function over a row's outputs.

use super::Targets;
use crate::ops::lanes;
use crate::{Float, simd};

/// The loss of one output y with target t.
pub(super) trait Elementwise<T: Float>: Copy {
    /// The target of a class; NaN if the loss has no meaning for it.
    #[inline(always)]
    fn target(self, _class: u32) -> T {
        T::from_f64(f64::NAN)
    }
    fn value(self, y: T, t: T) -> T;
    /// The derivative of `value` by y.
    fn slope(self, y: T, t: T) -> T;
}

/// Overwrites `losses` and `gradient`; lengths fit, and `width` is 1 if the targets are classes.
pub(super) fn elementwise<T: Float>(
    loss: impl Elementwise<T>,
    outputs: &[T],
    targets: Targets<'_, T>,
    width: usize,
    losses: &mut [f64],
    gradient: Option<&mut [T]>,
) {
    simd::wide(
        #[inline(always)]
        || match targets {
            Targets::Classes(classes) => {
                rows(
                    loss,
                    outputs,
                    classes,
                    #[inline(always)]
                    |c| loss.target(c),
                    width,
                    losses,
                    gradient,
                );
            }
            Targets::Values(values) => {
                rows(
                    loss,
                    outputs,
                    values,
                    #[inline(always)]
                    |t| t,
                    width,
                    losses,
                    gradient,
                );
            }
        },
    );
}

#[inline(always)]
fn rows<T: Float, C: Copy>(
    loss: impl Elementwise<T>,
    outputs: &[T],
    targets: &[C],
    target: impl Fn(C) -> T,
    width: usize,
    losses: &mut [f64],
    gradient: Option<&mut [T]>,
) {
    let Some(gradient) = gradient else {
        return means(
            losses,
            outputs,
            targets,
            width,
            #[inline(always)]
            |y, t| loss.value(y, target(t)),
        );
    };
    // The gradient's place holds the values first: T alone fills vectors of any row width, which a loop
    // that also makes f64 does not.
    for ((g, y), t) in gradient.iter_mut().zip(outputs).zip(targets) {
        *g = loss.value(*y, target(*t));
    }
    means(
        losses,
        gradient,
        gradient,
        width,
        #[inline(always)]
        |value, _| value,
    );
    let share = T::from_f64(1.0 / width as f64);
    for ((g, y), t) in gradient.iter_mut().zip(outputs).zip(targets) {
        *g = share * loss.slope(*y, target(*t));
    }
}

/// The mean of `f` over each row of two slices.
#[inline(always)]
fn means<T: Float, C: Copy>(means: &mut [f64], a: &[T], b: &[C], width: usize, f: impl Fn(T, C) -> T) {
    if width == 1 {
        // The mean of one, without the lanes of a sum.
        for ((mean, a), b) in means.iter_mut().zip(a).zip(b) {
            *mean = f(*a, *b).to_f64();
        }
        return;
    }
    for (mean, (a, b)) in means.iter_mut().zip(a.chunks_exact(width).zip(b.chunks_exact(width))) {
        let sum = lanes::sum(
            a,
            b,
            #[inline(always)]
            |a, b| f(a, b).to_f64(),
        );
        *mean = sum / width as f64;
    }
}

/// -1 for the first class, +1 for the second, NaN for others.
#[inline(always)]
pub(super) fn sign_of_class<T: Float>(class: u32) -> T {
    let sign = if class == 0 { -T::one() } else { T::one() };
    if class > 1 { T::from_f64(f64::NAN) } else { sign }
}
