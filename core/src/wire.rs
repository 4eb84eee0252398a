//! Values as the bytes that travel or are stored, little-endian.

use std::borrow::Cow;

use crate::bf16;
use crate::run::spec::Wire;
use crate::simd::wide;

/// Bytes that are not as many as so many values take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{values} values take {expected} bytes, but there are {found}")]
pub struct WrongLength {
    /// How many values were to be read.
    pub values: usize,
    /// The bytes that they take.
    pub expected: usize,
    /// The bytes that there are.
    pub found: usize,
}

/// Bytes of one value.
pub const fn width(wire: Wire) -> usize {
    match wire {
        Wire::F32 => 4,
        Wire::Bf16 => 2,
    }
}

/// The values' bytes as f32, without a copy where the machine stores them so.
pub fn bytes(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(values))
    } else {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }
}

/// Appends the values' bytes.
pub fn encode(values: &[f32], wire: Wire, out: &mut Vec<u8>) {
    match wire {
        Wire::F32 => out.extend_from_slice(&bytes(values)),
        Wire::Bf16 => {
            let start = out.len();
            out.resize(start + width(wire) * values.len(), 0);
            if let Some(added) = out.get_mut(start..) {
                write(values, wire, added);
            }
        }
    }
}

/// Writes the values' bytes, as far as both slices reach.
pub fn write(values: &[f32], wire: Wire, out: &mut [u8]) {
    match wire {
        Wire::F32 => {
            let (words, _) = out.as_chunks_mut::<4>();
            words.iter_mut().zip(values).for_each(|(word, value)| *word = value.to_le_bytes());
        }
        Wire::Bf16 => bf16::encode(values, out),
    }
}

/// Overwrites all of `out`. On an error it is left as it was.
pub fn decode(bytes: &[u8], wire: Wire, out: &mut [f32]) -> Result<(), WrongLength> {
    check(bytes, wire, out.len())?;
    match wire {
        Wire::F32 => {
            let (words, _) = bytes.as_chunks::<4>();
            words.iter().zip(out).for_each(|(word, value)| *value = f32::from_le_bytes(*word));
        }
        Wire::Bf16 => bf16::decode(bytes, out),
    }
    Ok(())
}

/// Whether all values are finite.
pub fn is_finite(bytes: &[u8], wire: Wire) -> bool {
    // An exponent of ones is an infinity or NaN; lanes keep the loop wide.
    let mut found = 0_u32;
    wide(
        #[inline(always)]
        || match wire {
            Wire::F32 => {
                let (words, _) = bytes.as_chunks::<4>();
                for word in words {
                    let exponent = u32::from_le_bytes(*word) & 0x7f80_0000;
                    found |= u32::from(exponent == 0x7f80_0000);
                }
            }
            Wire::Bf16 => {
                let (words, _) = bytes.as_chunks::<2>();
                for word in words {
                    let exponent = u16::from_le_bytes(*word) & 0x7f80;
                    found |= u32::from(exponent == 0x7f80);
                }
            }
        },
    );
    found == 0
}

/// Adds the values to all of `out`, without a vector in between. On an error it is left as it was.
pub fn add(bytes: &[u8], wire: Wire, out: &mut [f32]) -> Result<(), WrongLength> {
    check(bytes, wire, out.len())?;
    wide(
        #[inline(always)]
        || match wire {
            Wire::F32 => {
                let (words, _) = bytes.as_chunks::<4>();
                words.iter().zip(out).for_each(|(word, value)| *value += f32::from_le_bytes(*word));
            }
            Wire::Bf16 => {
                let (pairs, _) = bytes.as_chunks::<2>();
                let values = pairs.iter().map(|pair| bf16::value(u16::from_le_bytes(*pair)));
                values.zip(out).for_each(|(other, value)| *value += other);
            }
        },
    );
    Ok(())
}

fn check(bytes: &[u8], wire: Wire, values: usize) -> Result<(), WrongLength> {
    let (expected, found) = (values.saturating_mul(width(wire)), bytes.len());
    if expected == found { Ok(()) } else { Err(WrongLength { values, expected, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded() {
        let values = [1.0, -0.0, 0.1, f32::MIN_POSITIVE, f32::INFINITY];
        for wire in [Wire::F32, Wire::Bf16] {
            let mut bytes = vec![9];
            encode(&values, wire, &mut bytes);
            let mut expected = values;
            if wire == Wire::Bf16 {
                bf16::round(&mut expected);
            }
            // Off by one byte: what comes from the wire is not aligned.
            let (mut decoded, mut sum) = ([f32::NAN; 5], [0.5; 5]);
            decode(&bytes[1..], wire, &mut decoded).unwrap();
            assert_eq!(decoded.map(f32::to_bits), expected.map(f32::to_bits));
            add(&bytes[1..], wire, &mut sum).unwrap();
            assert_eq!(sum, expected.map(|value| 0.5 + value));
        }
        let mut bytes = Vec::new();
        encode(&[1.0], Wire::F32, &mut bytes);
        encode(&[1.0], Wire::Bf16, &mut bytes);
        assert_eq!(bytes, [0, 0, 0x80, 0x3f, 0x80, 0x3f]);
    }

    #[test]
    fn a_wrong_length_changes_nothing() {
        let mut values = [7.0; 2];
        let error = decode(&[0; 9], Wire::F32, &mut values).unwrap_err();
        assert_eq!(error.to_string(), "2 values take 8 bytes, but there are 9");
        assert!(decode(&[0; 8], Wire::Bf16, &mut values).is_err());
        assert!(add(&[0; 3], Wire::Bf16, &mut values).is_err());
        assert_eq!(values, [7.0; 2]);
    }

    #[test]
    fn values_that_are_not_finite_are_found() {
        for wire in [Wire::F32, Wire::Bf16] {
            for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                for place in 0..70 {
                    let mut values = vec![3e38_f32; 70];
                    let mut bytes = Vec::new();
                    encode(&values, wire, &mut bytes);
                    assert!(is_finite(&bytes, wire));
                    values[place] = bad;
                    bytes.clear();
                    encode(&values, wire, &mut bytes);
                    assert!(!is_finite(&bytes, wire), "{wire:?} {bad} at {place}");
                }
            }
        }
    }
}
