//! bfloat16: the upper half of an f32, rounded to nearest even.
//!
//! Finite values of more than about 3.39e38 become infinite; NaN stays NaN.

use crate::simd::wide;

/// The nearest bfloat16's bits.
#[inline(always)]
pub const fn bits(value: f32) -> u16 {
    let bits = value.to_bits();
    // Just under a half, or a half if the kept part is odd: carries exactly when it should round up.
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    // A NaN whose low half alone is set would become infinite; the quiet bit stands for it.
    let quiet = bits >> 16 | 0x40;
    (if value.is_nan() { quiet } else { rounded }) as u16
}

/// Exact.
#[inline(always)]
pub const fn value(bits: u16) -> f32 {
    f32::from_bits((bits as u32) << 16)
}

/// Rounds each value to the nearest bfloat16.
pub fn round(values: &mut [f32]) {
    wide(
        #[inline(always)]
        || values.iter_mut().for_each(|v| *v = value(bits(*v))),
    );
}

/// Writes the values as little-endian pairs of bytes, as far as both slices reach.
pub fn encode(values: &[f32], out: &mut [u8]) {
    let (pairs, _) = out.as_chunks_mut::<2>();
    wide(
        #[inline(always)]
        || pairs.iter_mut().zip(values).for_each(|(pair, v)| *pair = bits(*v).to_le_bytes()),
    );
}

/// Reads little-endian pairs of bytes, as far as both slices reach.
pub fn decode(bytes: &[u8], out: &mut [f32]) {
    let (pairs, _) = bytes.as_chunks::<2>();
    wide(
        #[inline(always)]
        || pairs.iter().zip(out).for_each(|(pair, v)| *v = value(u16::from_le_bytes(*pair))),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// import torch
    /// x = torch.tensor([1, 257 / 256, 259 / 256, -1e9, 1e-40, 3.4e38, float("inf"), 65504, 0.1])
    /// print([b % 2**16 for b in x.bfloat16().view(torch.int16).tolist()])
    /// ```
    #[test]
    fn rounds_as_pytorch() {
        let values = [1.0, 257.0 / 256.0, 259.0 / 256.0, -1e9, 1e-40, 3.4e38, f32::INFINITY, 65504.0, 0.1];
        let expected = [16256, 16256, 16258, 52846, 1, 32640, 32640, 18304, 15821];
        assert_eq!(values.map(bits), expected);
    }

    #[test]
    fn nan_stays_nan() {
        for nan in [f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(0xffff_ffff)] {
            assert!(value(bits(nan)).is_nan());
            assert_eq!(bits(nan) & 0x40, 0x40);
            assert_eq!(bits(nan) >> 15, (nan.to_bits() >> 31) as u16);
        }
    }

    #[test]
    fn every_bfloat16_is_its_own_nearest() {
        for b in 0..=u16::MAX {
            let again = bits(value(b));
            assert!(again == b || (value(b).is_nan() && again == b | 0x40));
        }
    }

    #[test]
    fn slices_are_done_value_by_value() {
        let values: Vec<f32> = (0..1001).map(|i| (i as f32 - 500.0) * 1.2345).collect();
        let one_by_one: Vec<f32> = values.iter().map(|v| value(bits(*v))).collect();
        let mut rounded = values.clone();
        round(&mut rounded);
        assert_eq!(rounded, one_by_one);
        let (mut bytes, mut decoded) = (vec![0; 2002], vec![0.0; 1001]);
        encode(&values, &mut bytes);
        decode(&bytes, &mut decoded);
        assert_eq!(decoded, one_by_one);
        assert_eq!(bytes[..2], bits(values[0]).to_le_bytes());
    }
}
