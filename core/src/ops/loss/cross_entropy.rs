//! loss = ln Σⱼ e^(xⱼ - m) - (x_c - m), with m the row's greatest output and c its class;
//! dloss/dxⱼ = softmax(x)ⱼ - [j = c]. As `torch.nn.CrossEntropyLoss` on class indices.

use super::probabilities::{exponentials, normalise};
use crate::ops::lanes;
use crate::{Float, simd};

/// Overwrites `losses` and `gradient`; lengths fit.
pub(super) fn rows<T: Float>(
    outputs: &[T],
    classes: &[u32],
    width: usize,
    losses: &mut [f64],
    gradient: Option<&mut [T]>,
) {
    match gradient {
        None => simd::wide(
            #[inline(always)]
            || {
                for ((loss, x), class) in losses.iter_mut().zip(outputs.chunks_exact(width)).zip(classes) {
                    let greatest = lanes::greatest(x);
                    let sum = lanes::sum(
                        x,
                        x,
                        #[inline(always)]
                        |x, _| (x - greatest).exp().to_f64(),
                    );
                    *loss = of_row(x, *class, greatest, sum);
                }
            },
        ),
        Some(gradient) => {
            exponentials(outputs, width, gradient);
            simd::wide(
                #[inline(always)]
                || {
                    let rows = outputs.chunks_exact(width).zip(gradient.chunks_exact_mut(width));
                    for ((loss, (x, g)), class) in losses.iter_mut().zip(rows).zip(classes) {
                        let sum = normalise(g);
                        *loss = of_row(x, *class, lanes::greatest(x), sum);
                        match g.get_mut(*class as usize) {
                            Some(g) => *g -= T::one(),
                            None => g.fill(T::from_f64(f64::NAN)),
                        }
                    }
                },
            );
        }
    }
}

#[inline(always)]
fn of_row<T: Float>(x: &[T], class: u32, greatest: T, sum: f64) -> f64 {
    match x.get(class as usize) {
        Some(x) => libm::log(sum) - (x.to_f64() - greatest.to_f64()),
        None => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use crate::ops::loss::{Targets, forward_backward};
    use crate::run::spec::Loss;

    // import torch
    // torch.set_default_dtype(torch.float64)
    // x = torch.tensor([[1., 2., 3.], [0., -1., 0.5], [-100., 100., 20.]], requires_grad=True)
    // t = torch.tensor([2, 0, 2])
    // losses = torch.nn.functional.cross_entropy(x, t, reduction="none")
    // losses.sum().backward()
    // print(losses.tolist(), x.grad.flatten().tolist())
    #[test]
    fn golden_values() {
        golden(
            Loss::CrossEntropy,
            3,
            &[1.0, 2.0, 3.0, 0.0, -1.0, 0.5, -100.0, 100.0, 20.0],
            &[2.0, 0.0, 2.0],
            &[0.4076059644443804, 1.1041306053367284, 80.0],
            &[
                0.09003057317038043,
                0.24472847105479764,
                -0.3347590442251782,
                -0.6685010395759086,
                0.12195165230972885,
                0.5465493872661796,
                1.3838965267367376e-87,
                1.0,
                -1.0,
            ],
        );
    }

    #[test]
    fn far_outputs_do_not_overflow() {
        let (mut losses, mut gradient) = ([0.0; 1], [0.0f32; 3]);
        let outputs = [1e30, -1e30, 0.0];
        forward_backward(
            Loss::CrossEntropy,
            &outputs,
            Targets::Classes(&[0]),
            3,
            None,
            &mut losses,
            &mut gradient,
        );
        assert_eq!((losses, gradient), ([0.0], [0.0; 3]));
    }
}
