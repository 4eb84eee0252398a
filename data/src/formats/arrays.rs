//! Arrays of as many rows each, side by side, as a dataset.

use super::array::Array;
use crate::dataset::{Outline, cut};
use crate::places::Opened;
use crate::{Block, Chunk, Column, DataError, Dataset, FileEntry, Kind, Place, Values, Wrong};

/// NPY, NPZ and IDX files.
pub(super) struct Arrays {
    outline: Outline,
    files: Vec<Opened>,
    arrays: Vec<Array>,
    /// For each column, which array it is in, and which column of that it is.
    places: Vec<(usize, usize)>,
}

impl Arrays {
    /// Of arrays that have as many rows as the first, with the names of their columns; from these files.
    pub(super) fn new(files: Vec<Opened>, arrays: Vec<(Array, Vec<String>)>) -> Result<Self, DataError> {
        let name = files.first().map(Opened::name).unwrap_or_default();
        let (mut columns, mut places) = (Vec::new(), Vec::new());
        for (index, (array, names)) in arrays.iter().enumerate() {
            let kind = array.kind();
            let width = array.width();
            // Rows without bytes would bear out any number of them.
            if array.rows() > 0
                && (width == 0 || matches!(kind, Kind::Bytes(_)) && i32::try_from(width).is_err())
            {
                return Err(DataError::whole(name, Wrong::TooBig { rows: array.rows(), width }));
            }
            for (place, name) in names.iter().enumerate() {
                columns.push(Column { name: name.clone(), kind: kind.clone() });
                places.push((index, place));
            }
        }
        let rows = arrays.first().map_or(0, |(array, _)| array.rows());
        let step = arrays.iter().map(|(array, _)| array.step()).min().unwrap_or(1);
        let outline = Outline::new(name, columns, cut(rows, step))?;
        let arrays = arrays.into_iter().map(|(array, _)| array).collect();
        Ok(Self { outline, files, arrays, places })
    }
}

impl Dataset for Arrays {
    fn outline(&self) -> &Outline {
        &self.outline
    }

    fn read(&self, block: Block, columns: &[usize]) -> Result<Chunk, DataError> {
        self.outline.index(block)?;
        let mut values: Vec<Option<Values>> = vec![None; columns.len()];
        for (index, array) in self.arrays.iter().enumerate() {
            let here = |column: &usize| self.places.get(*column).filter(|place| place.0 == index);
            if !columns.iter().any(|column| here(column).is_some()) {
                continue;
            }
            let rows = array.rows_of(block)?;
            for (value, column) in values.iter_mut().zip(columns) {
                *value = match (here(column), array.kind()) {
                    (None, _) => continue,
                    (_, Kind::Bytes(_)) => rows.pictures(),
                    (Some((_, place)), _) => Some(rows.column(*place)?),
                };
            }
        }
        let none = |column: usize| {
            let what = Wrong::NoValues { found: "nothing".into() };
            DataError::column(self.file(), self.outline.column(column), what)
        };
        let values = columns.iter().zip(values).map(|(column, value)| value.ok_or_else(|| none(*column)));
        Ok(Chunk { values: values.collect::<Result<_, _>>()?, torn: Vec::new() })
    }

    fn locate(&self, row: u64) -> (String, Place) {
        (self.file().into(), Place::Row(row))
    }

    fn files(&self) -> Vec<FileEntry> {
        self.files.iter().map(|file| file.entry(self.outline.rows(), None)).collect()
    }
}
