//! NPZ: a ZIP archive of NPY arrays with as many rows each. An array `x` of one dimension is the column
//! `x`, one of two dimensions the columns `x_1`, `x_2`, …; arrays come in the order of the archive.

use std::io::{Cursor, Read};
use std::path::Path;

use arrow_array::Array;
use zip::ZipArchive;

use super::guard::guarded;
use super::loaded::Loaded;
use super::{file, npy};
use crate::{DataError, Wrong};

const FORMAT: &str = "an NPZ archive";

pub(super) fn open(path: &Path) -> Result<Loaded, DataError> {
    let mut opened = file::open(path)?;
    let bytes = opened.read(u64::MAX)?;
    let arrays = guarded(&opened.name, FORMAT, || arrays(&bytes).map_err(|error| error.to_string()))?;
    let mut columns = Vec::new();
    for (name, bytes) in arrays {
        columns.extend(npy::columns(&opened.name, Some(&name), &bytes)?);
    }
    let rows = columns.first().map_or(0, |(_, array)| array.len());
    if let Some((column, array)) = columns.iter().find(|(_, array)| array.len() != rows) {
        let what = Wrong::Damaged {
            format: FORMAT,
            why: format!("found {} rows, but {rows} in the first array", array.len()),
        };
        return Err(DataError::column(opened.name, &column.name, what));
    }
    Loaded::whole(opened.name, columns)
}

fn arrays(bytes: &[u8]) -> zip::result::ZipResult<Vec<(String, Vec<u8>)>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))?;
    let mut arrays = Vec::new();
    for index in 0..archive.len() {
        let mut member = archive.by_index(index)?;
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes)?;
        let name = member.name()?;
        arrays.push((name.strip_suffix(".npy").unwrap_or(&name).to_owned(), bytes));
    }
    Ok(arrays)
}
