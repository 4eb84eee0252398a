use std::hint::select_unpredictable as select;

use super::{exp, polynomial};

/// Where the two formulas meet.
const SMALL: f32 = 1.0;

/// From here on erf is 1 in f32.
const MOST: f32 = 4.0;

/// The error function, to 2 ulp.
///
/// Below 1: x + x P(x²). Above: 1 - e^-(t + t Q(t)) with t = |x|, and the sign of x. The form is
/// N. Juffa's; P and Q are minimax for the relative error of erf over \[0, 1\] and \[0.9, 4\], found by
/// Lawson's reweighted least squares with the coefficients rounded to f32 one after another.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let p = polynomial(
        x * x,
        [
            0.000_078_069_03,
            -0.000_799_785_3,
            0.005_187_162,
            -0.026_853_347,
            0.112_835_79,
            -0.376_126_26,
            0.128_379_17,
        ],
    );
    let near = x + x * p;
    let size = x.abs();
    let t = select(size > MOST, MOST, size);
    let q = polynomial(
        t,
        [-0.000_214_590_7, 0.003_219_948_2, -0.022_905_968, 0.105_286_79, 0.635_699_4, 0.128_519_95],
    );
    let far = (1.0 - exp(-(t + t * q))).copysign(x);
    // NaN takes the near formula, which keeps it.
    select(size >= SMALL, far, near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maths::accuracy::worst;

    #[test]
    fn error_is_below_two_ulp() {
        let (error, x) = worst(6.0, 499, erf, libm::erf);
        assert!(error < 2.0, "{error} ulp at {x:e}");
    }

    #[test]
    fn special_values() {
        assert_eq!(erf(0.0), 0.0);
        assert_eq!(erf(f32::INFINITY), 1.0);
        assert_eq!(erf(f32::NEG_INFINITY), -1.0);
        assert_eq!(erf(f32::MIN), -1.0);
        assert!(erf(f32::NAN).is_nan());
    }
}
