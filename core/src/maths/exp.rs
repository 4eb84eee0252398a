use std::hint::select_unpredictable as select;

use super::polynomial;

/// Above this e^x is not finite, below the negative of the next it rounds to zero.
const MOST: f32 = 89.0;
const LEAST: f32 = -104.0;

/// Adding this to a number of magnitude below 2²² leaves the nearest integer in the low bits.
const TO_INTEGER: f32 = 12_582_912.0;

/// ln 2 in two parts; an integer below 2¹⁵ times the first is exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -0.000_212_194_44;

/// e^x, to 1 ulp.
///
/// With n = round(x / ln 2) and r = x - n ln 2, |r| ≤ ln(2)/2: e^x = 2ⁿ (1 + r + r² P(r)). P is that of
/// S. Moshier's Cephes library (`expf.c`).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Comparisons with NaN are false, so it goes through.
    let x = select(x > MOST, MOST, x);
    let x = select(x < LEAST, LEAST, x);
    let shifted = x * std::f32::consts::LOG2_E + TO_INTEGER;
    let n = shifted - TO_INTEGER;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let p = polynomial(r, [0.000_198_756_92, 0.001_398_2, 0.008_333_452, 0.041_665_796, 0.166_666_66, 0.5]);
    let mantissa = p * (r * r) + r + 1.0;
    // 2ⁿ may lie outside of f32 while the result does not: two factors, of which the first is exact.
    let n = (shifted.to_bits() as i32).wrapping_sub(TO_INTEGER.to_bits() as i32);
    let half = n >> 1;
    mantissa * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maths::accuracy::worst;

    #[test]
    fn error_is_below_an_ulp_or_so() {
        let (error, x) = worst(120.0, 499, exp, libm::exp);
        assert!(error < 1.1, "{error} ulp at {x:e}");
    }

    #[test]
    fn special_values() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(f32::MAX), f32::INFINITY);
        assert_eq!(exp(-103.0), f32::from_bits(1));
        assert!(exp(f32::NAN).is_nan());
    }
}
