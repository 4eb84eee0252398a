//! NPY, NumPy's format of one array (NEP 1). Rows are the first dimension.
//!
//! One dimension is one column, two are as many columns as the second has, named `column_1`, `column_2`,
//! …; more dimensions of unsigned bytes are pictures, in a column named `image`. Objects, which would be
//! Python's pickles, are refused.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, LargeStringArray, UInt64Array};

use super::loaded::Loaded;
use super::{file, idx};
use crate::dataset::unnamed;
use crate::{Column, DataError, Kind, Wrong};

const FORMAT: &str = "an NPY array that can be read here";
/// More columns are a transposed array.
const MOST_COLUMNS: usize = 1 << 20;

pub(super) fn open(path: &Path) -> Result<Loaded, DataError> {
    let mut opened = file::open(path)?;
    let bytes = opened.read(u64::MAX)?;
    let columns = columns(&opened.name, None, &bytes)?;
    Loaded::whole(opened.name, columns)
}

/// The columns of an array; `name` is its name if it is one of several.
pub(super) fn columns(
    file: &str,
    name: Option<&str>,
    bytes: &[u8],
) -> Result<Vec<(Column, ArrayRef)>, DataError> {
    let wrong = |why: String| {
        let why = name.map_or(why.clone(), |name| format!("the array {name:?}: {why}"));
        DataError::whole(file, Wrong::Damaged { format: FORMAT, why })
    };
    let array = Npy::read(bytes).map_err(wrong)?;
    let numbered = |i: usize| name.map_or_else(|| unnamed(i), |name| format!("{name}_{}", i + 1));
    match array.shape.as_slice() {
        [_] => Ok(vec![array.column(name.map_or_else(|| unnamed(0), Into::into), 0, 1).map_err(wrong)?]),
        [_, width] if *width <= MOST_COLUMNS => {
            (0..*width).map(|i| array.column(numbered(i), i, *width).map_err(wrong)).collect()
        }
        [rows, sample @ ..]
            if sample.len() >= 2 && array.kind == 'u' && array.size == 1 && !array.fortran =>
        {
            let name = name.unwrap_or("image");
            Ok(vec![idx::images(file, name, sample.to_vec(), *rows as u64, array.data.to_vec())?])
        }
        shape => Err(wrong(format!(
            "found the shape {shape:?}, expected [rows], [rows, columns], or pictures of unsigned bytes in C order"
        ))),
    }
}

/// An array; its data have as many bytes as its shape and type say.
struct Npy<'a> {
    /// NumPy's letter: b, i, u, f, U or S.
    kind: char,
    /// Bytes of an element.
    size: usize,
    big_endian: bool,
    fortran: bool,
    shape: Vec<usize>,
    data: &'a [u8],
}

impl<'a> Npy<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let cut = || "the file is cut off".to_owned();
        let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("the first bytes are not those of NPY")?;
        let ([version, _], rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        let (length, rest) = if *version == 1 {
            let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        } else {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
            (u32::from_le_bytes(*length) as usize, rest)
        };
        let (header, data) = rest.split_at_checked(length).ok_or_else(cut)?;
        let header = std::str::from_utf8(header).map_err(|_| "the header is not text")?;
        let descr = value(header, "descr")?;
        let (order, kind, size) =
            parse_type(descr).ok_or_else(|| format!("found elements of type {}", short(descr)))?;
        let tuple = value(header, "shape")?;
        let shape = parse_shape(tuple).ok_or_else(|| format!("found the shape {}", short(tuple)))?;
        let fortran = value(header, "fortran_order")?.starts_with("True");
        let expected = shape.iter().try_fold(size, |all, size| all.checked_mul(*size));
        if expected != Some(data.len()) {
            return Err(format!("found {} bytes of data, its shape {shape:?} needs others", data.len()));
        }
        Ok(Self { kind, size, big_endian: order == '>', fortran, shape, data })
    }

    /// Column `i` of `width`.
    fn column(&self, name: String, i: usize, width: usize) -> Result<(Column, ArrayRef), String> {
        let rows = self.shape.first().copied().unwrap_or(0);
        let element = |row: usize| {
            let index = if self.fortran { i * rows + row } else { row * width + i };
            self.data.get(index * self.size..(index + 1) * self.size).unwrap_or_default()
        };
        let all = || (0..rows).map(element);
        let (array, kind): (ArrayRef, _) = match self.kind {
            'b' => {
                let truths = all().map(|bytes| Some(bytes.iter().any(|byte| *byte != 0)));
                (Arc::new(truths.collect::<BooleanArray>()), Kind::Bool)
            }
            'f' if self.size == 4 => {
                let number = |bytes| f64::from(f32::from_bits(self.bits(bytes) as u32));
                (Arc::new(Float64Array::from_iter_values(all().map(number))), Kind::Real)
            }
            'f' => {
                let number = |bytes| f64::from_bits(self.bits(bytes));
                (Arc::new(Float64Array::from_iter_values(all().map(number))), Kind::Real)
            }
            'u' if self.size == 8 => {
                (Arc::new(UInt64Array::from_iter_values(all().map(|bytes| self.bits(bytes)))), Kind::Text)
            }
            'u' | 'i' => {
                let unused = 64 - 8 * self.size as u32;
                let number = |bytes| match self.kind {
                    'i' => (self.bits(bytes) << unused) as i64 >> unused,
                    _ => self.bits(bytes) as i64,
                };
                (Arc::new(Int64Array::from_iter_values(all().map(number))), Kind::Whole)
            }
            _ => {
                let texts = all().map(|bytes| self.text(bytes)).collect::<Option<Vec<_>>>();
                let texts = texts.ok_or("found text that is not Unicode")?;
                (Arc::new(LargeStringArray::from_iter_values(texts)), Kind::Text)
            }
        };
        Ok((Column { name, kind }, array))
    }

    /// Up to eight bytes as a number.
    fn bits(&self, bytes: &[u8]) -> u64 {
        let join = |all: u64, byte: &u8| all << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
    }

    /// Fixed-length text is filled up with zeros.
    fn text(&self, bytes: &[u8]) -> Option<String> {
        let text: String = if self.kind == 'U' {
            let units = bytes.as_chunks::<4>().0.iter();
            units.map(|unit| char::from_u32(self.bits(unit) as u32)).collect::<Option<_>>()?
        } else {
            std::str::from_utf8(bytes).ok()?.into()
        };
        Some(text.trim_end_matches('\0').into())
    }
}

/// What follows a key of the header, a Python dictionary.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let missing = || format!("the header has no {key}");
    let (_, rest) = header.split_once(&format!("'{key}'")).ok_or_else(missing)?;
    Ok(rest.trim_start().strip_prefix(':').ok_or_else(missing)?.trim_start())
}

/// `'<f8'` is ('<', 'f', 8); for `U`, bytes are four times the characters.
fn parse_type(text: &str) -> Option<(char, char, usize)> {
    let (inner, _) = text.strip_prefix('\'')?.split_once('\'')?;
    let mut letters = inner.chars();
    let (order, kind) = (letters.next()?, letters.next()?);
    let count: usize = letters.as_str().parse().ok()?;
    let size = if kind == 'U' { count.checked_mul(4)? } else { count };
    let known = match kind {
        'b' => size == 1,
        'i' | 'u' => matches!(size, 1 | 2 | 4 | 8),
        'f' => matches!(size, 4 | 8),
        'U' | 'S' => size > 0,
        _ => false,
    };
    (known && matches!(order, '<' | '>' | '|' | '=')).then_some((order, kind, size))
}

fn parse_shape(text: &str) -> Option<Vec<usize>> {
    let (inner, _) = text.strip_prefix('(')?.split_once(')')?;
    inner.split(',').map(str::trim).filter(|size| !size.is_empty()).map(|size| size.parse().ok()).collect()
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
