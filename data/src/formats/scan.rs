//! Goes through the records of a text once, holding little of it.

use std::ops::Range;

use crate::dataset::BLOCK_ROWS;
use crate::places::Blob;
use crate::{DataError, Place, TextEntry, Wrong};

/// A block of so many bytes is full.
const BLOCK_BYTES: u64 = 4 << 20;
/// A longer record is an error in the text: mostly a quote without its second.
const LONGEST: u64 = 64 << 20;
/// Bytes that a block can have, with blank lines after its last record.
const MOST_BYTES: u64 = BLOCK_BYTES + 2 * LONGEST;

/// Where records end.
pub(super) trait Split {
    /// The next record that starts at `at` or later, without what divides it from the one before; `None`
    /// if there is none, or its end is not here. The last bytes end a record if they are the `last`.
    fn next(&mut self, text: &[u8], at: usize, last: bool) -> Option<Range<usize>>;
}

/// Calls `take` for each record from byte `from` on, with its place in the text, until it says no.
///
/// # Errors
/// The text cannot be read, or a record is too long.
pub(super) fn each(
    blob: &dyn Blob,
    from: u64,
    split: &mut dyn Split,
    take: &mut dyn FnMut(Range<u64>, &[u8]) -> bool,
) -> Result<(), DataError> {
    let (mut window, mut offset, mut at) = (Vec::new(), from, 0);
    loop {
        let end = offset + window.len() as u64;
        let last = end >= blob.length();
        let found = split.next(&window, at, last);
        let longest = found.as_ref().map_or(window.len() - at.min(window.len()), |found| found.len());
        if longest as u64 > LONGEST {
            let place = Place::Line(line(blob, offset + found.map_or(at, |found| found.start) as u64)?);
            return Err(DataError {
                file: blob.name().into(),
                place,
                column: None,
                what: Wrong::LongRow(LONGEST),
            });
        }
        if let Some(found) = found {
            at = found.end;
            let place = offset + found.start as u64..offset + found.end as u64;
            if !take(place, window.get(found).unwrap_or_default()) {
                return Ok(());
            }
            continue;
        }
        if last {
            return Ok(());
        }
        window.drain(..at);
        offset += at as u64;
        at = 0;
        // Twice as much each time, so that a long record is not gone through again and again.
        let step = blob.window();
        let more = step.max(window.len() as u64).min(LONGEST + step - window.len() as u64);
        window.extend_from_slice(&blob.read(end..blob.length().min(end + more))?);
    }
}

/// The blocks of a text, as they are found.
#[derive(Default)]
pub(super) struct Blocks {
    pub(super) starts: Vec<u64>,
    pub(super) rows: Vec<u64>,
}

impl Blocks {
    /// Counts a record that starts there.
    pub(super) fn add(&mut self, at: u64) {
        match (self.starts.last(), self.rows.last_mut()) {
            (Some(start), Some(rows)) if *rows < BLOCK_ROWS && at - start < BLOCK_BYTES => *rows += 1,
            _ => {
                self.starts.push(at);
                self.rows.push(1);
            }
        }
    }
}

/// # Errors
/// The blocks are none of a text of this length.
pub(super) fn check(entry: &TextEntry, rows: &[u64], length: u64) -> Result<(), Wrong> {
    if entry.starts.len() != rows.len() || rows.contains(&0) {
        return Err(Wrong::BadEntry("blocks without a start or without rows"));
    }
    let ends = entry.starts.iter().skip(1).chain(std::iter::once(&length));
    for ((start, end), rows) in entry.starts.iter().zip(ends).zip(rows) {
        // A row has a byte at least.
        match end.checked_sub(*start) {
            Some(bytes) if bytes <= MOST_BYTES && *rows <= bytes => {}
            _ => return Err(Wrong::BadEntry("blocks that no text of its length has")),
        }
    }
    Ok(())
}

/// The line in which a byte stands, from 1.
pub(super) fn line(blob: &dyn Blob, byte: u64) -> Result<u64, DataError> {
    let (mut at, mut line) = (0, 1);
    while at < byte {
        let next = byte.min(at + blob.window());
        line += memchr::memchr_iter(b'\n', &blob.read(at..next)?).count() as u64;
        at = next;
    }
    Ok(line)
}
