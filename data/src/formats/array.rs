//! An array of elements of one size, row by row (or, if Fortran wrote it, column by column): what NPY, NPZ
//! and IDX files hold. Rows are the first dimension.

use std::sync::Arc;

use arrow_array::{BooleanArray, FixedSizeBinaryArray, Float64Array, Int64Array, LargeStringArray};
use arrow_buffer::Buffer;
use bytes::Bytes;
use half::f16;

use crate::dataset::BLOCK_ROWS;
use crate::places::Blob;
use crate::{Block, DataError, Kind, Values, Wrong};

/// Bytes of a block, unless one row has more.
const BLOCK_BYTES: u64 = 16 << 20;

/// Rows in a block, of so many bytes each.
pub(super) fn rows_of(row: u64) -> u64 {
    (BLOCK_BYTES / row.max(1)).clamp(1, BLOCK_ROWS)
}

/// An array in a file.
#[derive(Clone)]
pub(super) struct Array {
    pub(super) blob: Arc<dyn Blob>,
    /// Where its first element is. The blob has all of them.
    pub(super) start: u64,
    pub(super) element: Element,
    /// By columns rather than by rows.
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

/// What one element is.
#[derive(Clone, Copy)]
pub(super) struct Element {
    /// NumPy's letter: b, i, u, f, U or S.
    pub(super) kind: char,
    /// Its bytes.
    pub(super) size: usize,
    pub(super) big_endian: bool,
}

impl Array {
    pub(super) fn rows(&self) -> u64 {
        self.shape.first().map_or(0, |rows| *rows as u64)
    }

    /// Elements of a row; 0 if they cannot be counted.
    pub(super) fn width(&self) -> usize {
        self.shape.iter().skip(1).try_fold(1usize, |all, size| all.checked_mul(*size)).unwrap_or(0)
    }

    /// Rows in a block.
    pub(super) fn step(&self) -> u64 {
        rows_of((self.width() as u64).saturating_mul(self.element.size as u64))
    }

    /// What its columns hold.
    pub(super) fn kind(&self) -> Kind {
        match (self.element.kind, self.element.size) {
            ('u', 1) if self.shape.len() > 2 => Kind::Bytes(self.shape.iter().skip(1).copied().collect()),
            ('b', _) => Kind::Bool,
            ('f', _) => Kind::Real,
            ('u', 8) => Kind::Text,
            ('u' | 'i', _) => Kind::Whole,
            _ => Kind::Text,
        }
    }

    /// The rows of a block, of which [`Rows`] gives columns.
    pub(super) fn rows_of(&self, block: Block) -> Result<Rows<'_>, DataError> {
        let bytes =
            if self.fortran { None } else { Some(self.bytes(block.first, block.rows, self.width())?) };
        Ok(Rows { array: self, block, bytes })
    }

    /// Elements that lie one after the other, in units of `width`.
    fn bytes(&self, first: u64, count: u64, width: usize) -> Result<Bytes, DataError> {
        let unit = (width as u64).saturating_mul(self.element.size as u64);
        let start = self.start.saturating_add(first.saturating_mul(unit));
        self.blob.read(start..start.saturating_add(count.saturating_mul(unit)))
    }
}

/// Some rows of an array.
pub(super) struct Rows<'a> {
    array: &'a Array,
    block: Block,
    /// All of them, where they lie together.
    bytes: Option<Bytes>,
}

impl Rows<'_> {
    /// All elements of each row, if they are bytes.
    pub(super) fn pictures(&self) -> Option<Values> {
        let size = i32::try_from(self.array.width()).ok()?;
        let bytes = Buffer::from(self.bytes.clone()?);
        FixedSizeBinaryArray::try_new(size, bytes, None).ok().map(Values::Bytes)
    }

    /// One element of each row.
    pub(super) fn column(&self, column: usize) -> Result<Values, DataError> {
        let array = self.array;
        let (size, width) = (array.element.size, array.width().max(1));
        match &self.bytes {
            Some(bytes) => {
                let from = bytes.get(column * size..).unwrap_or_default();
                self.values(from.chunks(width * size).map(|row| row.get(..size).unwrap_or_default()))
            }
            None => {
                let first = (column as u64).saturating_mul(array.rows()).saturating_add(self.block.first);
                let bytes = array.bytes(first, self.block.rows, 1)?;
                self.values(bytes.chunks(size))
            }
        }
    }

    fn values<'b>(&self, all: impl Iterator<Item = &'b [u8]>) -> Result<Values, DataError> {
        let Element { kind, size, .. } = self.array.element;
        Ok(match (kind, size) {
            ('b', _) => {
                let truths = all.map(|bytes| Some(bytes.iter().any(|byte| *byte != 0)));
                Values::Bool(truths.collect::<BooleanArray>())
            }
            ('f', 2) => self.reals(all, |bits| f16::from_bits(bits as u16).to_f64()),
            ('f', 4) => self.reals(all, |bits| f64::from(f32::from_bits(bits as u32))),
            ('f', _) => self.reals(all, f64::from_bits),
            ('u', 8) => {
                let texts = all.map(|bytes| self.bits(bytes).to_string());
                Values::Text(LargeStringArray::from_iter_values(texts))
            }
            ('u', _) => self.wholes(all, |bits| bits as i64),
            ('i', _) => {
                let unused = 64 - 8 * size as u32;
                self.wholes(all, |bits| (bits << unused) as i64 >> unused)
            }
            _ => {
                let texts = all.map(|bytes| self.text(bytes)).collect::<Option<Vec<_>>>();
                let why = "found text that is not Unicode".into();
                let wrong = Wrong::Damaged { format: super::npy::FORMAT, why };
                let texts = texts.ok_or_else(|| DataError::whole(self.array.blob.name(), wrong))?;
                Values::Text(LargeStringArray::from_iter_values(texts))
            }
        })
    }

    fn reals<'b>(&self, all: impl Iterator<Item = &'b [u8]>, number: impl Fn(u64) -> f64) -> Values {
        Values::Real(Float64Array::from_iter_values(all.map(|bytes| number(self.bits(bytes)))))
    }

    fn wholes<'b>(&self, all: impl Iterator<Item = &'b [u8]>, number: impl Fn(u64) -> i64) -> Values {
        Values::Whole(Int64Array::from_iter_values(all.map(|bytes| number(self.bits(bytes)))))
    }

    /// Up to eight bytes as a number.
    fn bits(&self, bytes: &[u8]) -> u64 {
        let mut eight = [0; 8];
        let length = bytes.len().min(8);
        let (from, to) = (bytes.get(..length), eight.get_mut(..length));
        if let (Some(from), Some(to)) = (from, to) {
            to.copy_from_slice(from);
            if self.array.element.big_endian {
                to.reverse();
            }
        }
        u64::from_le_bytes(eight)
    }

    /// Fixed-length text is filled up with zeros.
    fn text(&self, bytes: &[u8]) -> Option<String> {
        let text: String = if self.array.element.kind == 'U' {
            let units = bytes.as_chunks::<4>().0.iter();
            units.map(|unit| char::from_u32(self.bits(unit) as u32)).collect::<Option<_>>()?
        } else {
            std::str::from_utf8(bytes).ok()?.into()
        };
        Some(text.trim_end_matches('\0').into())
    }
}
