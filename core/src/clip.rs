//! Clipping by the norm of the whole gradient, as `torch.nn.utils.clip_grad_norm_`.

use crate::Float;
use crate::layout::Layout;
use crate::simd::wide;

/// √(Σ g²) over the parameters: f64 sums over each tensor in element order, then over tensors.
///
/// NaN if an element is NaN, infinite if one is infinite and none is NaN.
///
/// # Panics
/// If the gradient is shorter than the layout.
pub fn norm<T: Float>(layout: &Layout, gradient: &[T]) -> f64 {
    let squares = |values: &[T]| values.iter().fold(0.0, |sum, g| sum + g.to_f64() * g.to_f64());
    layout.parameters().iter().map(|tensor| squares(&gradient[tensor.range.clone()])).sum::<f64>().sqrt()
}

/// What the gradient is multiplied by: max_norm / (norm + 1e-6), at most 1; NaN if the norm is.
pub fn factor(norm: f64, max_norm: f64) -> f64 {
    let factor = max_norm / (norm + 1e-6);
    if factor > 1.0 { 1.0 } else { factor }
}

/// Multiplies each value by the factor, rounded to their type.
pub fn scale<T: Float>(values: &mut [T], factor: f64) {
    let factor = T::from_f64(factor);
    wide(
        #[inline(always)]
        || values.iter_mut().for_each(|value| *value *= factor),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// import torch
    /// p = [torch.zeros(3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)]
    /// p[0].grad = torch.tensor([0.5, -1.5, 2.0], dtype=torch.float64)
    /// p[1].grad = torch.tensor([3.0, -0.25], dtype=torch.float64)
    /// print(torch.nn.utils.clip_grad_norm_(p, 1.5), [x.grad.tolist() for x in p])
    /// ```
    #[test]
    fn clips_as_pytorch() {
        let mut layout = Layout::new();
        layout.push(0, "layers.0.weight", &[3]);
        layout.push(0, "layers.0.bias", &[2]);
        let gradient = [0.5, -1.5, 2.0, 3.0, -0.25];
        let mut clipped = gradient;
        let norm = norm(&layout, &gradient);
        scale(&mut clipped, factor(norm, 1.5));
        let expected = [
            0.1901172269645845,
            -0.5703516808937534,
            0.760468907858338,
            1.1407033617875069,
            -0.09505861348229225,
        ];
        assert!((norm - 3.944933459514875).abs() < 1e-14);
        assert!(clipped.iter().zip(expected).all(|(x, y): (&f64, f64)| (x - y).abs() < 1e-14), "{clipped:?}");
        assert_eq!(factor(norm, 10.0), 1.0);
    }

    /// The sum of a tensor does not depend on what lies before it.
    #[test]
    fn tensors_are_summed_apart() {
        let mut layout = Layout::new();
        layout.push(0, "layers.0.weight", &[1]);
        layout.push(1, "layers.1.weight", &[16]);
        let small = 1.0 / f64::from(1 << 27);
        let gradient: Vec<f64> = std::iter::once(1.0).chain([small; 16]).collect();
        assert_eq!(norm(&layout, &gradient), (1.0 + 16.0 * small * small).sqrt());
        assert_eq!(gradient.iter().fold(0.0, |sum, g| sum + g * g).sqrt(), 1.0);
    }

    #[test]
    fn what_is_not_finite_stays_visible() {
        let mut layout = Layout::new();
        layout.push(0, "layers.0.weight", &[2]);
        assert!(factor(norm(&layout, &[f32::NAN, f32::INFINITY]), 1.0).is_nan());
        assert_eq!(factor(norm(&layout, &[1.0, f32::INFINITY]), 1.0), 0.0);
        assert_eq!(norm(&Layout::new(), &[0_f32; 0]), 0.0);
    }
}
