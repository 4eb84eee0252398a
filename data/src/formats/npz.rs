//! NPZ: a ZIP archive of NPY arrays with as many rows each. An array `x` of one dimension is the column
//! `x`, one of two dimensions the columns `x_1`, `x_2`, …; arrays come in the order of the archive.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use zip::{CompressionMethod, ZipArchive};

use super::arrays::Arrays;
use super::guard::guarded;
use super::npy;
use crate::places::{Blob, Opened, SMALL, Stream, kept};
use crate::{DataError, Wrong};

const FORMAT: &str = "an NPZ archive";

pub(super) fn open(opened: Opened) -> Result<Arrays, DataError> {
    let name = opened.name().to_owned();
    let mut arrays = Vec::new();
    for (member, blob) in guarded(&name, FORMAT, || members(&opened))? {
        arrays.push((npy::array(&name, Some(&member), blob)?, member));
    }
    let rows = arrays.first().map_or(0, |((array, _), _)| array.rows());
    for ((array, names), member) in &arrays {
        if array.rows() != rows {
            let why = format!("found {} rows, but {rows} in the first array", array.rows());
            let column = names.first().unwrap_or(member);
            return Err(DataError::column(name, column, Wrong::Damaged { format: FORMAT, why }));
        }
    }
    Arrays::new(vec![opened], arrays.into_iter().map(|(array, _)| array).collect())
}

type Member = (String, Arc<dyn Blob>);

/// Small members are checked as they are inflated; large ones are read where they lie if they are stored as
/// they are, as `numpy.savez` does it.
fn members(opened: &Opened) -> Result<Vec<Member>, String> {
    let mut archive =
        ZipArchive::new(Stream::new(opened.blob.clone(), 0)).map_err(|error| error.to_string())?;
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(|error| error.to_string())?;
        let name = member.name().map_err(|error| error.to_string())?;
        let name = name.strip_suffix(".npy").unwrap_or(&name).to_owned();
        let large = member.compression() == CompressionMethod::Stored && member.size() > SMALL;
        let start = member.data_start().filter(|_| large);
        let end = start.and_then(|start| start.checked_add(member.size()));
        let blob: Arc<dyn Blob> = match start.zip(end) {
            Some((start, end)) if end <= opened.blob.length() => {
                Arc::new(Part { whole: opened.blob.clone(), range: start..end })
            }
            _ => {
                let damaged = |error: io::Error| {
                    DataError::whole(opened.name(), Wrong::Damaged { format: FORMAT, why: error.to_string() })
                };
                kept(opened.name(), &mut member, &damaged).map_err(|error| error.what.to_string())?
            }
        };
        members.push((name, blob));
    }
    Ok(members)
}

/// Bytes within others.
struct Part {
    whole: Arc<dyn Blob>,
    range: Range<u64>,
}

impl Blob for Part {
    fn name(&self) -> &str {
        self.whole.name()
    }

    fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn get(&self, range: Range<u64>) -> Result<Bytes, DataError> {
        self.whole.read(self.range.start + range.start..self.range.start + range.end)
    }
}
