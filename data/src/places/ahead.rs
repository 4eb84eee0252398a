//! A blob of which parts are known to be needed: fetched together, those that lie near each other at once.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::Blob;
use crate::DataError;

/// Ranges with fewer bytes between them are one. More would be read in vain again and again where a row
/// group has several parts.
const NEAR: u64 = 16 << 10;
/// More bytes than these are fetched piece by piece, as they are needed.
const MOST: u64 = 32 << 20;
/// What is fetched of a range at once, then.
const PIECE: u64 = 1 << 20;

/// A blob that reads ahead within ranges.
pub(crate) struct Ahead {
    blob: Arc<dyn Blob>,
    /// For each range, bytes of it that are here, and where they start.
    ranges: Vec<(Range<u64>, Mutex<(u64, Bytes)>)>,
}

impl Ahead {
    /// # Errors
    /// The ranges cannot be read.
    pub(crate) fn new(blob: Arc<dyn Blob>, ranges: Vec<Range<u64>>) -> Result<Self, DataError> {
        let ranges = merged(ranges, blob.length());
        let all = ranges.iter().fold(0u64, |all, range| all.saturating_add(range.end - range.start));
        let here = if all <= MOST { blob.get_all(ranges.clone())? } else { vec![Bytes::new(); ranges.len()] };
        let here = here.into_iter().zip(&ranges).map(|(bytes, range)| Mutex::new((range.start, bytes)));
        let ranges = ranges.iter().cloned().zip(here).collect();
        Ok(Self { blob, ranges })
    }
}

/// In order, without those that are none, and with near ones joined.
fn merged(mut ranges: Vec<Range<u64>>, length: u64) -> Vec<Range<u64>> {
    ranges.retain(|range| range.start < range.end && range.end <= length);
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut().filter(|last| range.start <= last.end.saturating_add(NEAR)) {
            Some(last) => last.end = last.end.max(range.end),
            None => merged.push(range),
        }
    }
    merged
}

/// A part of bytes that start at `first`, if they have it.
fn part(first: u64, bytes: &Bytes, range: &Range<u64>) -> Option<Bytes> {
    let from = usize::try_from(range.start.checked_sub(first)?).ok()?;
    let to = usize::try_from(range.end.checked_sub(first)?).ok()?;
    (to <= bytes.len()).then(|| bytes.slice(from..to))
}

impl Blob for Ahead {
    fn name(&self) -> &str {
        self.blob.name()
    }

    fn length(&self) -> u64 {
        self.blob.length()
    }

    fn get(&self, range: Range<u64>) -> Result<Bytes, DataError> {
        let after = self.ranges.partition_point(|(whole, _)| whole.start <= range.start);
        let known = after.checked_sub(1).and_then(|place| self.ranges.get(place));
        let Some((whole, here)) = known.filter(|(whole, _)| range.end <= whole.end) else {
            return self.blob.read(range);
        };
        let mut here = here.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = part(here.0, &here.1, &range) {
            return Ok(found);
        }
        let end = range.end.max(whole.end.min(range.start.saturating_add(PIECE)));
        let bytes = self.blob.read(range.start..end)?;
        *here = (range.start, bytes);
        Ok(part(here.0, &here.1, &range).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Memory;

    #[test]
    fn near_ranges_are_one() {
        let far = 10 * NEAR;
        let ranges = vec![far..far + 9, 5..9, 3..6, 9 + NEAR..10 + NEAR, 7..7, far..u64::MAX];
        assert_eq!(merged(ranges, 20 * NEAR), [3..10 + NEAR, far..far + 9]);
    }

    #[test]
    fn bytes_are_those_of_the_blob() {
        let bytes: Vec<u8> = (0..(40u32 << 20)).map(|i| (i / 7) as u8).collect();
        let blob = Arc::new(Memory::new("a", bytes.clone()));
        let length = bytes.len() as u64;
        for ranges in [vec![], vec![10..2000, 5 << 20..6 << 20], vec![0..length]] {
            let ahead = Ahead::new(blob.clone(), ranges).unwrap();
            for start in [0, 9, 10, 1999, (5 << 20) + 3, (1 << 20) - 1, 0, (6 << 20) - 1, length - 2] {
                let range = start..start + 2;
                let expected = &bytes[range.start as usize..range.end as usize];
                assert_eq!(ahead.read(range).unwrap(), expected, "{start}");
            }
            assert!(ahead.read(length - 1..length + 1).is_err());
        }
    }
}
