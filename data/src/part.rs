//! Rows on their way from the coordinator to a worker.
//!
//! ```text
//! first row u64 | rows u64 | features, row-major, f32 or u8 | targets, u32 or f32 | weights, f32      little-endian
//! ```
//!
//! Weights are there if the rows have any. Types and widths are the [`Shape`](crate::Shape)'s, which both sides have; parts
//! come in order, from row 0. [`Receiver`](crate::Receiver) takes them.

use std::io;
use std::ops::Range;

use crate::{Features, GatherError, Table, Targets};

/// Bytes before the features.
pub(crate) const HEADER: u64 = 16;

/// Why a part is refused, or rows are no table.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PartError {
    /// The shape has no features, no target values, no classes, or sizes that overflow.
    #[error("the announced shape is impossible")]
    Shape,
    /// Shorter than its header.
    #[error("{0} bytes are shorter than a header")]
    Header(u64),
    /// Not the rows that come next.
    #[error("expected rows from {expected} on, found {found}")]
    Order {
        /// The next row.
        expected: u64,
        /// The part's first row.
        found: u64,
    },
    /// No rows, or more than are still missing.
    #[error("a part of {found} rows, {missing} are missing")]
    Rows {
        /// Rows of the part.
        found: u64,
        /// Rows still missing.
        missing: u64,
    },
    /// The table is asked for before all rows have come.
    #[error("{0} rows have not come")]
    Missing(u64),
    /// The bytes are not those of so many rows.
    #[error("a part of {rows} rows has {found} bytes, expected {expected}")]
    Length {
        /// Rows of the part.
        rows: u64,
        /// Bytes after the header.
        found: u64,
        /// Bytes of so many rows.
        expected: u64,
    },
    /// A class that is not below the count.
    #[error("class {found} of {count}")]
    Class {
        /// As sent.
        found: u32,
        /// Classes of the shape.
        count: u32,
    },
    /// A feature that should be one.
    #[error("a value is no index of its embedding")]
    Index,
    /// A weight below 0, NaN or infinite.
    #[error("a row's weight is {0}")]
    Weight(f32),
    /// NaN or infinite.
    #[error("a value is not finite")]
    NotFinite,
    /// The bytes cannot be read.
    #[error("the bytes cannot be read: {0}")]
    Read(io::ErrorKind),
    /// This machine cannot hold the rows.
    #[error("the rows do not fit in memory")]
    Memory,
}

impl Table {
    /// The bytes of some rows.
    ///
    /// # Errors
    /// The range reaches past the table's end.
    pub fn part(&self, rows: Range<u64>) -> Result<Vec<u8>, GatherError> {
        let outside = || GatherError::NoRow { row: rows.end, rows: self.rows() };
        if rows.start > rows.end || rows.end > self.rows() {
            return Err(outside());
        }
        let of = |width: usize| -> Option<Range<usize>> {
            let at = |row: u64| usize::try_from(row).ok()?.checked_mul(width);
            Some(at(rows.start)?..at(rows.end)?)
        };
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&rows.start.to_le_bytes());
        bytes.extend_from_slice(&(rows.end - rows.start).to_le_bytes());
        let features = of(self.width()).ok_or_else(outside)?;
        match self.features() {
            Features::F32(all) => {
                put(&mut bytes, all.get(features).ok_or_else(outside)?, |x| x.to_le_bytes())
            }
            Features::U8(all) => bytes.extend_from_slice(all.get(features).ok_or_else(outside)?),
        }
        match self.targets() {
            Targets::Classes { of: all, .. } => {
                let all = of(1).and_then(|range| all.get(range)).ok_or_else(outside)?;
                put(&mut bytes, all, |class| class.to_le_bytes());
            }
            Targets::Values { width, of: all } => {
                let all = of(*width).and_then(|range| all.get(range)).ok_or_else(outside)?;
                put(&mut bytes, all, |value| value.to_le_bytes());
            }
            Targets::Absent => {}
        }
        if let Some(weights) = self.weights() {
            let weights = of(1).and_then(|range| weights.get(range)).ok_or_else(outside)?;
            put(&mut bytes, weights, |weight| weight.to_le_bytes());
        }
        Ok(bytes)
    }
}

fn put<T: Copy>(bytes: &mut Vec<u8>, values: &[T], encode: impl Fn(T) -> [u8; 4]) {
    let start = bytes.len();
    bytes.resize(start + 4 * values.len(), 0);
    let (words, _) = bytes.get_mut(start..).unwrap_or_default().as_chunks_mut::<4>();
    for (word, value) in words.iter_mut().zip(values) {
        *word = encode(*value);
    }
}
