//! IDX, the format of MNIST: a header (00 00, element type, number of dimensions, each size as a
//! big-endian u32), then the elements, row-major. Unsigned bytes only; plain or gzipped.

use super::array::{Array, Element};
use super::arrays::Arrays;
use crate::places::Opened;
use crate::{DataError, Wrong};

/// Deflate cannot pack tighter than this: more is a lie of some header.
const MOST_INFLATED: u64 = 1032;

/// Images, with or without their labels.
pub(super) fn open(images: Opened, labels: Option<Opened>) -> Result<Arrays, DataError> {
    let array = array(&images)?;
    if array.shape.len() < 2 {
        return Err(rank(&images, &array, "2 or more (rows, then an image)"));
    }
    let rows = array.rows();
    let mut arrays = vec![(array, vec!["image".to_owned()])];
    if let Some(labels) = &labels {
        let array = self::array(labels)?;
        if array.shape.len() != 1 {
            return Err(rank(labels, &array, "1 (a label a row)"));
        }
        if array.rows() != rows {
            let what = Wrong::CountsDiffer { labels: array.rows(), file: images.name().into(), images: rows };
            return Err(DataError::whole(labels.name(), what));
        }
        arrays.push((array, vec!["label".to_owned()]));
    }
    Arrays::new(std::iter::once(images).chain(labels).collect(), arrays)
}

/// The array that a file holds.
fn array(file: &Opened) -> Result<Array, DataError> {
    let wrong = |what| DataError::whole(file.name(), what);
    let found = file.blob.length();
    let head = file.head(4 + 4 * 255)?;
    let Some(&[zero, also_zero, kind, rank]) = head.first_chunk::<4>() else {
        return Err(wrong(Wrong::Truncated { found, expected: 4 }));
    };
    if (zero, also_zero, kind) != (0, 0, 8) || rank == 0 {
        let found = head.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        return Err(wrong(Wrong::NotIdx { found }));
    }
    let header = 4 + 4 * u64::from(rank);
    let sizes = head.get(4..4 + 4 * usize::from(rank));
    let sizes = sizes.ok_or_else(|| wrong(Wrong::Truncated { found, expected: header }))?;
    let sizes: Vec<u32> = sizes.as_chunks::<4>().0.iter().map(|size| u32::from_be_bytes(*size)).collect();
    let announced = sizes.iter().try_fold(1u64, |all, size| all.checked_mul(u64::from(*size)));
    let lying = || wrong(Wrong::Lying { sizes: shown(&sizes) });
    let expected = announced.and_then(|bytes| bytes.checked_add(header)).ok_or_else(lying)?;
    if file.packed && file.stamp.length.saturating_mul(MOST_INFLATED) < expected {
        return Err(lying());
    }
    if found < expected {
        return Err(wrong(Wrong::Truncated { found, expected }));
    }
    if found > expected {
        return Err(wrong(Wrong::Trailing { expected }));
    }
    Ok(Array {
        blob: file.blob.clone(),
        start: header,
        element: Element { kind: 'u', size: 1, big_endian: true },
        fortran: false,
        shape: sizes.iter().map(|size| usize::try_from(*size).unwrap_or(usize::MAX)).collect(),
    })
}

fn rank(file: &Opened, array: &Array, expected: &'static str) -> DataError {
    DataError::whole(file.name(), Wrong::Rank { found: array.shape.len(), expected })
}

fn shown(sizes: &[u32]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
}
