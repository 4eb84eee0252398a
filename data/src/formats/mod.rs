//! The formats, and which of them a file has.
//!
//! ```text
//! path ──expand──▶ files ──by name, or by first bytes──▶ a reader each ──▶ Many, if there are several
//! ```

mod announced;
mod array;
mod arrays;
mod arrow;
mod columnar;
mod csv;
mod guard;
mod idx;
#[cfg(feature = "images")]
mod images;
mod json;
mod lines;
mod many;
mod messages;
mod npy;
mod npz;
mod parquet;
mod paths;
#[cfg(feature = "images")]
mod pixels;
mod scan;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use lockstep_core::run::spec::{Format, Reading, Source};

pub(crate) use paths::expand;

use crate::places::{self, Location, Opened};
use crate::{DataError, Dataset, FileEntry, Wrong};

/// Opens a dataset; relative paths start at `base`. A file's format is what `reading` says, else by its
/// extension, else by its first bytes. An IDX file alone is inputs, in a column named `image`. Text is gone
/// through once, to find where its blocks start.
///
/// # Errors
/// A file is missing, of unknown format, empty, or breaks its format.
pub fn open(source: &Source, reading: &Reading, base: &Path) -> Result<Box<dyn Dataset>, DataError> {
    match source {
        Source::Idx { images, labels } => {
            let here = |text| places::open(Location::of(text, base)?);
            Ok(Box::new(idx::open(here(images)?, Some(here(labels)?))?))
        }
        Source::File(path) => {
            let opener = Opener::new(reading);
            let open = |location: Location| {
                let name = location.name();
                opener.open(places::open(location)?, &name, None)
            };
            let found = paths::expand(path, base, reading.format)?;
            if are_images(reading, found.iter().map(Location::name)) {
                return images(&places::shown(path, base), found);
            }
            together(&places::shown(path, base), found.into_iter().map(open).collect::<Result<_, _>>()?)
        }
    }
}

/// Opens a dataset as [`Dataset::files`] described it, perhaps on another machine, without going through
/// text again. `place` says where a file lies here (a path or URL), if it does.
///
/// # Errors
/// As [`open`]; a file is not here, has another length or other blocks than before; or the description is
/// of no files that could be.
pub fn reopen(
    files: &[FileEntry],
    source: &Source,
    reading: &Reading,
    place: &dyn Fn(&FileEntry) -> Option<String>,
) -> Result<Box<dyn Dataset>, DataError> {
    let here = |entry: &FileEntry| {
        let path = place(entry).ok_or_else(|| DataError::whole(&entry.path, Wrong::NotHere))?;
        let opened = places::open(Location::of(&path, Path::new(""))?)?;
        let (before, now) = (entry.length, opened.stamp.length);
        unchanged(opened.name(), "its length", before, now)?;
        if entry.etag.as_ref().zip(opened.stamp.etag.as_ref()).is_some_and(|(before, now)| before != now) {
            return Err(DataError::whole(opened.name(), Wrong::Replaced));
        }
        Ok(opened)
    };
    match (source, files) {
        (Source::Idx { .. }, [images, labels]) => {
            let data: Box<dyn Dataset> = Box::new(idx::open(here(images)?, Some(here(labels)?))?);
            same_blocks(images, &*data)?;
            Ok(data)
        }
        (Source::File(path), [_, ..]) => {
            if are_images(reading, files.iter().map(|entry| entry.path.clone())) {
                return images_again(path, files, place);
            }
            let opener = Opener::new(reading);
            let again = |entry: &FileEntry| {
                let name = entry.path.rsplit('/').next().unwrap_or_default();
                let data = opener.open(here(entry)?, name, Some(entry))?;
                same_blocks(entry, &*data)?;
                Ok(data)
            };
            together(path, files.iter().map(again).collect::<Result<_, _>>()?)
        }
        (Source::Idx { images: path, .. } | Source::File(path), _) => {
            Err(DataError::whole(path, Wrong::BadEntry("another number of files than the run file names")))
        }
    }
}

/// Whether files of these names are pictures, all of them: then they are one dataset.
fn are_images(reading: &Reading, mut names: impl Iterator<Item = String>) -> bool {
    match reading.format {
        None => names.all(|name| by_name(&name) == Some(Format::Images)),
        format => format == Some(Format::Images),
    }
}

#[cfg(feature = "images")]
fn images(name: &str, found: Vec<Location>) -> Result<Box<dyn Dataset>, DataError> {
    Ok(Box::new(images::Images::open(name, found)?))
}

#[cfg(feature = "images")]
fn images_again(
    name: &str,
    files: &[FileEntry],
    place: &dyn Fn(&FileEntry) -> Option<String>,
) -> Result<Box<dyn Dataset>, DataError> {
    Ok(Box::new(images::Images::reopen(name, files, place)?))
}

#[cfg(not(feature = "images"))]
fn images(name: &str, _: Vec<Location>) -> Result<Box<dyn Dataset>, DataError> {
    Err(DataError::whole(name, Wrong::NotBuilt("images")))
}

#[cfg(not(feature = "images"))]
fn images_again(
    name: &str,
    _: &[FileEntry],
    _: &dyn Fn(&FileEntry) -> Option<String>,
) -> Result<Box<dyn Dataset>, DataError> {
    images(name, Vec::new())
}

fn same_blocks(entry: &FileEntry, data: &dyn Dataset) -> Result<(), DataError> {
    let (before, now) = (&entry.rows, data.outline().rows());
    let rows = before.iter().fold(0u64, |all, rows| all.saturating_add(*rows));
    unchanged(data.file(), "the number of its rows", rows, data.rows())?;
    unchanged(data.file(), "the number of its blocks", before.len() as u64, now.len() as u64)?;
    let differs = before.iter().zip(&now).find(|(before, now)| before != now);
    differs.map_or(Ok(()), |(before, now)| {
        unchanged(data.file(), "the number of rows in a block", *before, *now)
    })
}

fn unchanged(file: &str, what: &'static str, before: u64, now: u64) -> Result<(), DataError> {
    if before == now {
        return Ok(());
    }
    Err(DataError::whole(file, Wrong::Changed { what, before, now }))
}

/// One file is itself; several are one dataset.
fn together(name: &str, mut files: Vec<Box<dyn Dataset>>) -> Result<Box<dyn Dataset>, DataError> {
    match files.pop() {
        Some(only) if files.is_empty() => Ok(only),
        Some(last) => {
            files.push(last);
            Ok(Box::new(many::Many::new(name, files)?))
        }
        None => Err(DataError::whole(name, Wrong::NoMatch(""))),
    }
}

/// Opens the files of a dataset.
struct Opener<'a> {
    reading: &'a Reading,
    readers: Arc<parquet::Readers>,
}

impl<'a> Opener<'a> {
    fn new(reading: &'a Reading) -> Self {
        Self { reading, readers: Arc::default() }
    }

    /// A file that has this name where it is known best; as it was described before, if it was.
    fn open(
        &self,
        file: Opened,
        name: &str,
        entry: Option<&FileEntry>,
    ) -> Result<Box<dyn Dataset>, DataError> {
        let format = match self.reading.format.or_else(|| by_name(name)) {
            Some(format) => format,
            None => by_first_bytes(&file)?,
        };
        let delimiter = if format == Format::Tsv { b'\t' } else { b',' };
        Ok(match (format, entry) {
            (Format::Csv | Format::Tsv, None) => Box::new(csv::open(file, delimiter, self.reading.header)?),
            (Format::Csv | Format::Tsv, Some(entry)) => Box::new(csv::reopen(file, entry, delimiter)?),
            (Format::JsonLines, None) => Box::new(json::open(file)?),
            (Format::JsonLines, Some(entry)) => Box::new(json::reopen(file, entry)?),
            (Format::Parquet, _) => Box::new(parquet::Parquet::open(file, self.readers.clone())?),
            (Format::Arrow, _) => Box::new(arrow::Arrow::open(file)?),
            (Format::Npy, _) => Box::new(npy::open(file)?),
            (Format::Npz, _) => Box::new(npz::open(file)?),
            (Format::Idx, _) => Box::new(idx::open(file, None)?),
            // Pictures alone have been found before.
            (Format::Images, _) => return Err(DataError::whole(file.name(), Wrong::Mixed)),
        })
    }
}

/// By the last extension that names a format; those of packings may follow it, as in `.csv.gz` or
/// `.parquet.brotli`.
pub(crate) fn by_name(name: &str) -> Option<Format> {
    let lower = name.to_lowercase();
    let mut parts = lower.rsplit('.').peekable();
    while let Some(part) = parts.next() {
        // What stands before the first dot is no extension.
        parts.peek()?;
        return Some(match part {
            "gz" | "zst" | "zstd" | "brotli" | "snappy" | "lz4" => continue,
            "csv" => Format::Csv,
            "tsv" | "tab" => Format::Tsv,
            "jsonl" | "ndjson" => Format::JsonLines,
            "parquet" | "pq" => Format::Parquet,
            "arrow" | "arrows" | "ipc" | "feather" => Format::Arrow,
            "npy" => Format::Npy,
            "npz" => Format::Npz,
            "idx" => Format::Idx,
            "png" | "jpg" | "jpeg" => Format::Images,
            _ => return None,
        });
    }
    None
}

fn by_first_bytes(file: &Opened) -> Result<Format, DataError> {
    let head = file.head(8)?;
    let formats: [(&[u8], Format); 5] = [
        (b"PAR1", Format::Parquet),
        (b"ARROW1", Format::Arrow),
        (b"\x93NUMPY", Format::Npy),
        (b"PK\x03\x04", Format::Npz),
        (&[0, 0], Format::Idx),
    ];
    let found = formats.iter().find(|(magic, _)| head.starts_with(magic));
    found.map(|(_, format)| *format).ok_or_else(|| DataError::whole(file.name(), Wrong::UnknownFormat))
}
