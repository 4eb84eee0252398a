//! Elementary functions in f32 for loops over elements.
//!
//! Pure Rust, without branches, tables or fused multiply-add: inside [`crate::simd::wide`] a loop over
//! one of them becomes vector instructions, and gives the same bits as one call at a time on any
//! processor. Infinities, NaN, overflow and subnormal results come out as IEEE 754 has them; only
//! the sign of a zero is not kept everywhere.

mod erf;
mod exp;
mod ln;
mod ln_1p;
mod tanh;

pub use erf::erf;
pub use exp::exp;
pub use ln::ln;
pub use ln_1p::ln_1p;
pub use tanh::tanh;

/// The polynomial with these coefficients, highest power first, by Horner's rule.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    // `reduce` unrolls early enough for the loop around it to vectorize; a loop over a slice does not.
    coefficients.into_iter().reduce(|value, c| value * x + c).unwrap_or_default()
}

#[cfg(test)]
mod accuracy {
    //! Measures a function against f64 in units in the last place of the exact result.

    /// The worst error over every `stride`-th f32 of both signs within ±`most`, and where it is.
    /// Subnormal results are measured in the smallest subnormal.
    pub(super) fn worst(most: f32, stride: u32, f: fn(f32) -> f32, exact: fn(f64) -> f64) -> (f64, f32) {
        let mut worst = (0.0, 0.0);
        for bits in (0..=most.to_bits()).step_by(stride as usize) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                let error = ulps(f(x), exact(f64::from(x)));
                if error > worst.0 || error.is_nan() {
                    worst = (error, x);
                }
                if error.is_nan() {
                    return worst;
                }
            }
        }
        worst
    }

    fn ulps(value: f32, exact: f64) -> f64 {
        let rounded = exact as f32;
        if value.to_bits() == rounded.to_bits() || value.is_nan() && exact.is_nan() {
            return 0.0;
        }
        if rounded.is_infinite() || value.is_infinite() {
            // An overflow at the right place differs from the exact value by no more than a rounding.
            let largest = f64::from(f32::MAX);
            let bounded = |x: f64| x.clamp(-largest, largest);
            return (bounded(f64::from(value)) - bounded(exact)).abs() / (largest * libm::ldexp(1.0, -24));
        }
        let exponent = ((rounded.to_bits() >> 23) & 0xff).max(1) as i32;
        (f64::from(value) - exact).abs() / libm::ldexp(1.0, exponent - 150)
    }
}
