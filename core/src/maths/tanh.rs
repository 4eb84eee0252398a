use std::hint::select_unpredictable as select;

use super::{exp, polynomial};

/// Where the two formulas meet.
const SMALL: f32 = 0.625;

/// The hyperbolic tangent, to 2 ulp.
///
/// Below 0.625: x + x³ P(x²), with P of S. Moshier's Cephes library (`tanhf.c`).
/// Above: 1 - 2 / (e^(2|x|) + 1), with the sign of x.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let square = x * x;
    let p = polynomial(square, [-0.005_704_988_7, 0.020_639_09, -0.053_739_715, 0.133_314_42, -0.333_332_83]);
    let near = x + x * (square * p);
    let size = x.abs();
    let far = (1.0 - 2.0 / (exp(size + size) + 1.0)).copysign(x);
    select(size < SMALL, near, far)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maths::accuracy::worst;

    #[test]
    fn error_is_below_two_ulp() {
        let (error, x) = worst(20.0, 499, tanh, libm::tanh);
        assert!(error < 2.0, "{error} ulp at {x:e}");
    }

    #[test]
    fn special_values() {
        assert_eq!(tanh(0.0), 0.0);
        assert_eq!(tanh(f32::INFINITY), 1.0);
        assert_eq!(tanh(f32::NEG_INFINITY), -1.0);
        assert_eq!(tanh(f32::MIN), -1.0);
        assert!(tanh(f32::NAN).is_nan());
    }
}
