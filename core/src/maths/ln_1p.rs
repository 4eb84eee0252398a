use std::hint::select_unpredictable as select;

use super::ln::{combined, special, split};

/// Between these 1 + x needs no power of two: √½ - 1 and √2 - 1, a little within.
const FROM: f32 = -0.292;
const TO: f32 = 0.414;

/// ln(1 + x), to 1 ulp, also for tiny x.
///
/// With u = 1 + x rounded, ln(1 + x) = ln u + (1 + x - u) / u, as in FreeBSD's msun (`s_log1pf.c`). Near
/// zero f = x itself, without rounding.
#[inline(always)]
pub fn ln_1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let lost = select(x > 1.0, 1.0 - (u - x), x - (u - 1.0));
    let (k, f) = split(u);
    let near = x > FROM && x < TO;
    let finite = combined(select(near, 0.0, k), select(near, x, f), select(near, 0.0, lost / u));
    special(u, finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maths::accuracy::worst;

    #[test]
    fn error_is_below_an_ulp_or_so() {
        let (error, x) = worst(f32::MAX, 1999, ln_1p, libm::log1p);
        assert!(error < 1.1, "{error} ulp at {x:e}");
    }

    #[test]
    fn special_values() {
        assert_eq!(ln_1p(0.0), 0.0);
        assert_eq!(ln_1p(-1.0), f32::NEG_INFINITY);
        assert_eq!(ln_1p(f32::INFINITY), f32::INFINITY);
        assert!(ln_1p(-1.1).is_nan());
        assert!(ln_1p(f32::NEG_INFINITY).is_nan());
        assert!(ln_1p(f32::NAN).is_nan());
    }
}
