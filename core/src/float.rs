//! The scalar that operations are generic over.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{AddAssign, MulAssign, Neg, SubAssign};

use crate::bf16;

use crate::maths;

/// `f32` in training, `f64` in the tests that check its arithmetic.
///
/// The functions on the way to a number are pure Rust (never the host's libm, which changes between
/// versions and processors), so every machine computes the same bits.
pub trait Float:
    ndarray::LinalgScalar
    + PartialOrd
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + Sum
    + Default
    + Debug
    + Send
    + Sync
    + bytemuck::Pod
{
    /// Rounds to nearest, ties to even.
    fn from_f64(value: f64) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// e to the power of `self`.
    fn exp(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// ln(1 + self), exact near zero.
    fn ln_1p(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The error function, 2/√π ∫₀ˣ e^(-t²) dt.
    fn erf(self) -> Self;
    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// The magnitude.
    fn abs(self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;

    /// Rounds each value to the nearest bfloat16 (an f64 by way of f32).
    fn round_to_bf16(values: &mut [Self]);

    /// The greater of two; `other` if `self` is NaN.
    #[inline(always)]
    fn at_least(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
}

impl Float for f64 {
    fn round_to_bf16(values: &mut [Self]) {
        for value in values {
            *value = bf16::value(bf16::bits(*value as f32)).into();
        }
    }
    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn exp(self) -> Self {
        libm::exp(self)
    }
    fn ln(self) -> Self {
        libm::log(self)
    }
    fn ln_1p(self) -> Self {
        libm::log1p(self)
    }
    fn tanh(self) -> Self {
        libm::tanh(self)
    }
    fn erf(self) -> Self {
        libm::erf(self)
    }
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    fn abs(self) -> Self {
        f64::abs(self)
    }
    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }
}

impl Float for f32 {
    fn round_to_bf16(values: &mut [Self]) {
        bf16::round(values);
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        maths::exp(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        maths::ln(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        maths::ln_1p(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        maths::tanh(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        maths::erf(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }
    #[inline(always)]
    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }
}
