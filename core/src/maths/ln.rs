use std::hint::select_unpredictable as select;

use super::polynomial;

/// ln 2 in two parts; an integer below 2⁸ times the first is exact.
const LN_2_HIGH: f32 = 0.693_138_1;
const LN_2_LOW: f32 = 0.000_009_058_001;

/// The bits of √½.
const ROOT_HALF: u32 = 0x3f35_04f3;

const ONE: u32 = 0x3f80_0000;

/// The natural logarithm, to 1 ulp.
///
/// x = 2ᵏ (1 + f) with √½ ≤ 1 + f < √2, then
/// k ln 2 + ln(1 + f).
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let subnormal = x < f32::MIN_POSITIVE;
    // 2²⁵
    let scaled = select(subnormal, x * 33_554_432.0, x);
    let (k, f) = split(scaled);
    let finite = combined(select(subnormal, k - 25.0, k), f, 0.0);
    special(x, finite)
}

/// k and f of x = 2ᵏ (1 + f), √½ ≤ 1 + f < √2, for a normal positive x.
#[inline(always)]
pub(super) fn split(x: f32) -> (f32, f32) {
    let bits = x.to_bits().wrapping_add(ONE - ROOT_HALF);
    let k = (bits >> 23) as i32 - 127;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) + ROOT_HALF);
    (k as f32, mantissa - 1.0)
}

/// k ln 2 + ln(1 + f) + correction, where the correction is tiny.
///
/// ln(1 + f) = f - f²/2 + s (f²/2 + R(s²)) with s = f / (2 + f), as in FreeBSD's msun (`e_logf.c`).
#[inline(always)]
pub(super) fn combined(k: f32, f: f32, correction: f32) -> f32 {
    let s = f / (2.0 + f);
    let z = s * s;
    let r = z * polynomial(z, [0.242_790_79, 0.284_987_87, 0.400_009_72, 0.666_666_6]);
    let half_square = 0.5 * f * f;
    s * (half_square + r) + (k * LN_2_LOW + correction) - half_square + f + k * LN_2_HIGH
}

/// The logarithm of `x` where it is no positive finite number; `finite` where it is.
#[inline(always)]
pub(super) fn special(x: f32, finite: f32) -> f32 {
    let value = select(x == 0.0, f32::NEG_INFINITY, finite);
    let value = select(x == f32::INFINITY, x, value);
    // Also for NaN.
    select(x >= 0.0, value, f32::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maths::accuracy::worst;

    #[test]
    fn error_is_below_an_ulp() {
        let (error, x) = worst(f32::MAX, 1999, ln, libm::log);
        assert!(error < 1.0, "{error} ulp at {x:e}");
    }

    #[test]
    fn special_values() {
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(0.0), f32::NEG_INFINITY);
        assert_eq!(ln(-0.0), f32::NEG_INFINITY);
        assert_eq!(ln(f32::INFINITY), f32::INFINITY);
        assert!(ln(f32::NEG_INFINITY).is_nan());
        assert!(ln(-1.0).is_nan());
        assert!(ln(f32::NAN).is_nan());
    }
}
