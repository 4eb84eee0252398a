//! Zeroes each value with probability `rate` in training and scales the others by 1/(1 - rate).

use rand_core::Rng;

use crate::{Float, simd};

/// Draws `mask` (0 or 1/(1 - rate)) and multiplies `values` by it.
///
/// One u32 of `random` is drawn for each value, in order, whatever the rate; the value is dropped if the
/// number is below rate · 2³², rounded to an integer. A rate of 0 drops nothing, of 1 everything.
pub fn forward<T: Float>(rate: f64, mask: &mut [T], random: &mut impl Rng, values: &mut [T]) {
    let dropped = (rate * 4_294_967_296.0).round_ties_even() as u64;
    let scale = if rate < 1.0 { T::from_f64(1.0 / (1.0 - rate)) } else { T::zero() };
    for m in mask.iter_mut() {
        *m = if u64::from(random.next_u32()) < dropped { T::zero() } else { scale };
    }
    multiply(values, mask);
}

/// Turns dL/dy into dL/dx in place, with the mask of the forward pass.
pub fn backward<T: Float>(mask: &[T], dy: &mut [T]) {
    multiply(dy, mask);
}

fn multiply<T: Float>(values: &mut [T], mask: &[T]) {
    simd::wide(
        #[inline(always)]
        || {
            for (v, m) in values.iter_mut().zip(mask) {
                *v *= *m;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{differences, values};
    use std::convert::Infallible;

    /// 0, then steps of 2³² / 5 or so.
    struct Counter(u32);

    impl rand_core::TryRng for Counter {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            let value = self.0;
            self.0 = value.wrapping_add(0x3333_3333);
            Ok(value)
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            unreachable!("one u32 a value")
        }
        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
            unreachable!("one u32 a value")
        }
    }

    /// 0x33333333 / 2³² is just below 0.2: the sequence is 0, 0.2-, 0.4-, 0.6-, 0.8-, 1-, and again 0.2-.
    #[test]
    fn golden() {
        let mut values = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        let mut mask = [f32::NAN; 7];
        let mut random = Counter(0);
        forward(0.5, &mut mask, &mut random, &mut values);
        assert_eq!(mask, [0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 0.0]);
        assert_eq!(values, [0.0, 0.0, 0.0, 8.0, 10.0, 12.0, 0.0]);
        assert_eq!(random.0, 0x3333_3333u32.wrapping_mul(7));
    }

    #[test]
    fn the_boundary_is_kept() {
        for (number, kept) in [(0x3fff_ffff, 0.0), (0x4000_0000, 1.0 / 0.75)] {
            let mut mask = [f64::NAN];
            forward(0.25, &mut mask, &mut Counter(number), &mut [1.0]);
            assert_eq!(mask, [kept]);
        }
    }

    #[test]
    fn nothing_and_everything() {
        let (mut mask, mut values) = ([f32::NAN; 9], [1.0; 9]);
        forward(0.0, &mut mask, &mut Counter(0), &mut values);
        assert_eq!((mask, values), ([1.0; 9], [1.0; 9]));
        forward(1.0, &mut mask, &mut Counter(u32::MAX), &mut values);
        assert_eq!((mask, values), ([0.0; 9], [0.0; 9]));
    }

    #[test]
    fn gradient_is_that_of_differences() {
        let (x, dy) = (values::<f64>(40, 1, 2.0), values::<f64>(40, 2, 1.0));
        let (mut mask, mut dx) = (vec![0.0; 40], dy.clone());
        forward(0.3, &mut mask, &mut Counter(5), &mut x.clone());
        backward(&mask, &mut dx);
        differences("dropout", &x, &dx, |x| {
            let mut y = x.to_vec();
            forward(0.3, &mut vec![0.0; 40], &mut Counter(5), &mut y);
            y.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
        });
    }

    #[test]
    fn f32_agrees_with_f64() {
        let (mut narrow, mut wide) = (values::<f32>(50, 1, 2.0), values::<f64>(50, 1, 2.0));
        forward(0.3, &mut [0.0; 50], &mut Counter(5), &mut narrow);
        forward(0.3, &mut [0.0; 50], &mut Counter(5), &mut wide);
        crate::ops::check::close("dropout", &crate::ops::check::widened(&narrow), &wide, 1e-5);
    }
}
