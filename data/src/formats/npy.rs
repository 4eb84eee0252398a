//! NPY, NumPy's format of one array (NEP 1).
//!
//! One dimension is one column, two are as many columns as the second has, named `column_1`, `column_2`,
//! …; more dimensions of unsigned bytes are pictures, in a column named `image`. Objects, which would be
//! Python's pickles, are refused.

use std::sync::Arc;

use super::array::{Array, Element};
use super::arrays::Arrays;
use crate::dataset::unnamed;
use crate::places::{Blob, Opened};
use crate::{DataError, Wrong};

pub(super) const FORMAT: &str = "an NPY array that can be read here";
/// More columns are a transposed array.
const MOST_COLUMNS: usize = 1 << 20;
/// NumPy itself refuses longer headers.
const LONGEST_HEADER: u64 = 1 << 20;

pub(super) fn open(opened: Opened) -> Result<Arrays, DataError> {
    let array = array(opened.name(), None, opened.blob.clone())?;
    Arrays::new(vec![opened], vec![array])
}

/// An array and the names of its columns; `name` is its name if it is one of several.
pub(super) fn array(
    file: &str,
    name: Option<&str>,
    blob: Arc<dyn Blob>,
) -> Result<(Array, Vec<String>), DataError> {
    let wrong = |why: String| {
        let why = name.map_or(why.clone(), |name| format!("the array {name:?}: {why}"));
        DataError::whole(file, Wrong::Damaged { format: FORMAT, why })
    };
    let head = blob.read(0..blob.length().min(LONGEST_HEADER))?;
    let array = read(&head, blob).map_err(wrong)?;
    let numbered = |i: usize| name.map_or_else(|| unnamed(i), |name| format!("{name}_{}", i + 1));
    let names = match array.shape.as_slice() {
        [_] => vec![name.map_or_else(|| unnamed(0), Into::into)],
        [_, width] if *width <= MOST_COLUMNS => (0..*width).map(numbered).collect(),
        [_, sample @ ..]
            if sample.len() >= 2
                && array.element.kind == 'u'
                && array.element.size == 1
                && !array.fortran =>
        {
            vec![name.unwrap_or("image").to_owned()]
        }
        shape => {
            return Err(wrong(format!(
                "found the shape {shape:?}, expected [rows], [rows, columns], or pictures of unsigned bytes \
                 in C order"
            )));
        }
    };
    Ok((array, names))
}

/// The array that a header describes; the blob has as many bytes as its shape and type say.
fn read(head: &[u8], blob: Arc<dyn Blob>) -> Result<Array, String> {
    let cut = || "the file is cut off".to_owned();
    let rest = head.strip_prefix(b"\x93NUMPY").ok_or("the first bytes are not those of NPY")?;
    let ([version, _], rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (length, rest) = if *version == 1 {
        let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (header, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
    let start = (head.len() - rest.len()) as u64;
    let header = std::str::from_utf8(header).map_err(|_| "the header is not text")?;
    let descr = value(header, "descr")?;
    let element = parse_type(descr).ok_or_else(|| format!("found elements of type {}", short(descr)))?;
    let tuple = value(header, "shape")?;
    let shape = parse_shape(tuple).ok_or_else(|| format!("found the shape {}", short(tuple)))?;
    let fortran = value(header, "fortran_order")?.starts_with("True");
    let expected = shape.iter().try_fold(element.size as u64, |all, size| all.checked_mul(*size as u64));
    let found = blob.length() - start;
    if expected != Some(found) {
        return Err(format!("found {found} bytes of data, its shape {shape:?} needs others"));
    }
    Ok(Array { blob, start, element, fortran, shape })
}

/// What follows a key of the header, a Python dictionary.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let missing = || format!("the header has no {key}");
    let (_, rest) = header.split_once(&format!("'{key}'")).ok_or_else(missing)?;
    Ok(rest.trim_start().strip_prefix(':').ok_or_else(missing)?.trim_start())
}

/// `'<f8'` is a little-endian f of eight bytes; for `U`, bytes are four times the characters.
fn parse_type(text: &str) -> Option<Element> {
    let (inner, _) = text.strip_prefix('\'')?.split_once('\'')?;
    let mut letters = inner.chars();
    let (order, kind) = (letters.next()?, letters.next()?);
    let count: usize = letters.as_str().parse().ok()?;
    let size = if kind == 'U' { count.checked_mul(4)? } else { count };
    let known = match kind {
        'b' => size == 1,
        'i' | 'u' => matches!(size, 1 | 2 | 4 | 8),
        'f' => matches!(size, 2 | 4 | 8),
        'U' | 'S' => size > 0,
        _ => false,
    };
    let known = known && matches!(order, '<' | '>' | '|' | '=');
    known.then_some(Element { kind, size, big_endian: order == '>' })
}

fn parse_shape(text: &str) -> Option<Vec<usize>> {
    let (inner, _) = text.strip_prefix('(')?.split_once(')')?;
    inner.split(',').map(str::trim).filter(|size| !size.is_empty()).map(|size| size.parse().ok()).collect()
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
