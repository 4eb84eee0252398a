//! The formats, and which of them a file has.
//!
//! ```text
//! path ──expand──▶ files ──by name, or by first bytes──▶ a reader each ──▶ Many, if there are several
//! ```

mod announced;
mod arrow;
mod csv;
mod file;
mod guard;
mod idx;
mod json;
mod lines;
mod loaded;
mod many;
mod npy;
mod npz;
mod parquet;
mod paths;

use std::path::Path;

use lockstep_core::run::spec::{Format, Reading, Source};

use crate::{DataError, Dataset, Wrong};

/// Opens a dataset; relative paths start at `base`. A file's format is what `reading` says, else by its
/// extension, else by its first bytes. An IDX file alone is inputs, in a column named `image`.
///
/// # Errors
/// A file is missing, of unknown format, empty, or breaks its format.
pub fn open(source: &Source, reading: &Reading, base: &Path) -> Result<Box<dyn Dataset>, DataError> {
    match source {
        Source::Idx { images, labels } => {
            Ok(Box::new(idx::open(&base.join(images), Some(&base.join(labels)))?))
        }
        Source::File(path) => {
            let paths = paths::expand(path, base, reading.format)?;
            let mut files =
                paths.iter().map(|path| open_one(path, reading)).collect::<Result<Vec<_>, _>>()?;
            match files.pop() {
                Some(only) if files.is_empty() => Ok(only),
                Some(last) => {
                    files.push(last);
                    Ok(Box::new(many::Many::new(base.join(path).display().to_string(), files)?))
                }
                None => Err(DataError::whole(path, Wrong::NoMatch(""))),
            }
        }
    }
}

fn open_one(path: &Path, reading: &Reading) -> Result<Box<dyn Dataset>, DataError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let format = match reading.format.or_else(|| by_name(&name)) {
        Some(format) => format,
        None => by_first_bytes(path)?,
    };
    Ok(match format {
        Format::Csv => Box::new(csv::open(path, b',', reading.header)?),
        Format::Tsv => Box::new(csv::open(path, b'\t', reading.header)?),
        Format::JsonLines => Box::new(json::open(path)?),
        Format::Parquet => Box::new(parquet::Parquet::open(path)?),
        Format::Arrow => Box::new(arrow::open(path)?),
        Format::Npy => Box::new(npy::open(path)?),
        Format::Npz => Box::new(npz::open(path)?),
        Format::Idx => Box::new(idx::open(path, None)?),
    })
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
            _ => return None,
        });
    }
    None
}

fn by_first_bytes(path: &Path) -> Result<Format, DataError> {
    let mut opened = file::open(path)?;
    let head = opened.read(8)?;
    let formats: [(&[u8], Format); 5] = [
        (b"PAR1", Format::Parquet),
        (b"ARROW1", Format::Arrow),
        (b"\x93NUMPY", Format::Npy),
        (b"PK\x03\x04", Format::Npz),
        (&[0, 0], Format::Idx),
    ];
    let found = formats.iter().find(|(magic, _)| head.starts_with(magic));
    found.map(|(_, format)| *format).ok_or_else(|| DataError::whole(opened.name, Wrong::UnknownFormat))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions() {
        for (name, format) in [
            ("a.csv", Some(Format::Csv)),
            ("A.CSV.GZ", Some(Format::Csv)),
            ("a.b.tsv.zst", Some(Format::Tsv)),
            ("x.parquet.brotli", Some(Format::Parquet)),
            ("x.feather", Some(Format::Arrow)),
            ("train-images.gz", None),
            ("csv", None),
            ("a.csv.txt", None),
            ("", None),
        ] {
            assert_eq!(by_name(name), format, "{name}");
        }
    }
}
