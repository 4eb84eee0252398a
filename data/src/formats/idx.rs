//! IDX, the format of MNIST: a header (00 00, element type, number of dimensions, each size as a
//! big-endian u32), then the elements, row-major. Unsigned bytes only; plain or gzipped.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, UInt8Array};
use arrow_buffer::Buffer;

use super::file;
use super::loaded::Loaded;
use crate::{Column, DataError, Kind, Wrong};

/// Images, with or without their labels.
pub(super) fn open(images: &Path, labels: Option<&Path>) -> Result<Loaded, DataError> {
    let images = Array::read(images)?;
    if images.sizes.len() < 2 {
        return Err(images.rank("2 or more (rows, then an image)"));
    }
    let (file, rows, sample) = (images.file.clone(), images.rows(), images.sample());
    let mut columns = vec![self::images(&file, "image", sample, rows, images.bytes)?];
    if let Some(path) = labels {
        let labels = Array::read(path)?;
        if labels.sizes.len() != 1 {
            return Err(labels.rank("1 (a label a row)"));
        }
        if labels.rows() != rows {
            let what = Wrong::CountsDiffer { labels: labels.rows(), file, images: rows };
            return Err(DataError::whole(labels.file, what));
        }
        let column = Column { name: "label".into(), kind: Kind::Whole };
        columns.push((column, Arc::new(UInt8Array::from(labels.bytes))));
    }
    Loaded::whole(file, columns)
}

/// A column of bytes, `sample` of them a row.
pub(super) fn images(
    file: &str,
    name: &str,
    sample: Vec<usize>,
    rows: u64,
    bytes: Vec<u8>,
) -> Result<(Column, ArrayRef), DataError> {
    let width = sample.iter().try_fold(1usize, |all, size| all.checked_mul(*size)).unwrap_or(0);
    let size = i32::try_from(width).ok().filter(|size| *size > 0 && rows > 0);
    let array = size.and_then(|size| FixedSizeBinaryArray::try_new(size, Buffer::from_vec(bytes), None).ok());
    match array {
        Some(array) => Ok((Column { name: name.into(), kind: Kind::Bytes(sample) }, Arc::new(array))),
        None if rows == 0 => Err(DataError::whole(file, Wrong::NoRows)),
        None => Err(DataError::whole(file, Wrong::TooBig { rows, width })),
    }
}

/// One file.
struct Array {
    file: String,
    sizes: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    fn read(path: &Path) -> Result<Self, DataError> {
        let mut opened = file::open(path)?;
        let file = opened.name.clone();
        let wrong = |what| DataError::whole(&file, what);
        let magic = opened.read(4)?;
        let &[zero, also_zero, kind, rank] = magic.as_slice() else {
            return Err(wrong(Wrong::Truncated { found: magic.len() as u64, expected: 4 }));
        };
        if (zero, also_zero, kind) != (0, 0, 8) || rank == 0 {
            let found = magic.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
            return Err(wrong(Wrong::NotIdx { found }));
        }
        let header = 4 + 4 * u64::from(rank);
        let sizes = opened.read(header - 4)?;
        if (sizes.len() as u64) < header - 4 {
            return Err(wrong(Wrong::Truncated { found: 4 + sizes.len() as u64, expected: header }));
        }
        let (sizes, _) = sizes.as_chunks::<4>();
        let sizes: Vec<u32> = sizes.iter().map(|size| u32::from_be_bytes(*size)).collect();
        let announced = sizes.iter().try_fold(1u64, |all, size| all.checked_mul(u64::from(*size)));
        let expected = announced.and_then(|bytes| bytes.checked_add(header));
        let (Some(announced), Some(expected)) = (announced, expected) else {
            return Err(wrong(Wrong::Lying { sizes: shown(&sizes) }));
        };
        // A plain file's length is known before anything is allocated, a gzipped one's at most.
        if !opened.packed() && opened.most < expected {
            return Err(wrong(Wrong::Truncated { found: opened.most, expected }));
        }
        if opened.most < expected {
            return Err(wrong(Wrong::Lying { sizes: shown(&sizes) }));
        }
        let bytes = opened.read(announced)?;
        if (bytes.len() as u64) < announced {
            return Err(wrong(Wrong::Truncated { found: header + bytes.len() as u64, expected }));
        }
        if !opened.read(1)?.is_empty() {
            return Err(wrong(Wrong::Trailing { expected }));
        }
        let sizes = sizes.iter().map(|size| usize::try_from(*size).unwrap_or(usize::MAX)).collect();
        Ok(Self { file, sizes, bytes })
    }

    fn rows(&self) -> u64 {
        self.sizes.first().map_or(0, |rows| *rows as u64)
    }

    fn sample(&self) -> Vec<usize> {
        self.sizes.iter().skip(1).copied().collect()
    }

    fn rank(&self, expected: &'static str) -> DataError {
        DataError::whole(&self.file, Wrong::Rank { found: self.sizes.len(), expected })
    }
}

fn shown(sizes: &[u32]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
}
