//! IDX, the format of MNIST: a header (00 00, element type, number of dimensions, each size as a
//! big-endian u32), then the elements, row-major. Unsigned bytes only; plain or gzipped.

use std::path::Path;

use crate::dataset::blocks_of;
use crate::{Block, Column, DataError, Dataset, Kind, Place, Values, Wrong, file};

/// Images, with or without their labels.
#[derive(Debug)]
pub(crate) struct Idx {
    file: String,
    columns: Vec<Column>,
    blocks: Vec<Block>,
    /// Per column: bytes a row, and all bytes.
    values: Vec<(usize, Vec<u8>)>,
}

impl Idx {
    pub(crate) fn open(images: &Path, labels: Option<&Path>) -> Result<Self, DataError> {
        let images = Array::read(images)?;
        if images.sizes.len() < 2 {
            return Err(images.rank("2 or more (rows, then an image)"));
        }
        let mut columns = vec![Column { name: "image".into(), kind: Kind::Bytes(images.sample()) }];
        let rows = images.rows();
        let mut values = vec![(images.sample().iter().product(), images.bytes)];
        if let Some(path) = labels {
            let labels = Array::read(path)?;
            if labels.sizes.len() != 1 {
                return Err(labels.rank("1 (a label a row)"));
            }
            if labels.rows() != rows {
                let what = Wrong::CountsDiffer { labels: labels.rows(), file: images.file, images: rows };
                return Err(DataError::whole(labels.file, what));
            }
            columns.push(Column { name: "label".into(), kind: Kind::Bytes(Vec::new()) });
            values.push((1, labels.bytes));
        }
        if rows == 0 {
            return Err(DataError::whole(images.file, Wrong::NoRows));
        }
        Ok(Self { file: images.file, columns, blocks: blocks_of(rows), values })
    }
}

impl Dataset for Idx {
    fn file(&self) -> &str {
        &self.file
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    fn read(&self, block: Block, columns: &[usize]) -> Result<Vec<Values>, DataError> {
        let part = |column: &usize| {
            let (width, bytes) = self.values.get(*column)?;
            let at = |row: u64| usize::try_from(row).ok()?.checked_mul(*width);
            Some(Values::Bytes(bytes.get(at(block.first)?..at(block.first + block.rows)?)?.to_vec()))
        };
        columns.iter().map(part).collect::<Option<_>>().ok_or_else(|| {
            DataError::whole(
                &self.file,
                Wrong::Truncated { found: self.rows(), expected: block.first + block.rows },
            )
        })
    }

    fn place(&self, row: u64) -> Place {
        Place::Row(row)
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
        if !opened.gzipped() && opened.most < expected {
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
