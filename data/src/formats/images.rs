//! Pictures, a file a row: PNG and JPEG, all of one size and one kind of colour. The folder that a file lies
//! in names its class.
//!
//! Files are opened when their row is read, for there may be more of them than can be open at once.

use std::path::Path;
use std::sync::Arc;

use arrow_array::LargeStringArray;
use arrow_array::builder::FixedSizeBinaryBuilder;

use super::array::rows_of;
use super::guard::guarded;
use super::pixels::{self, Bad};
use crate::dataset::{Outline, cut};
use crate::places::{self, Blob, Location, Stamp};
use crate::{Block, Chunk, Column, DataError, Dataset, FileEntry, Kind, Place, Values, Wrong};

const FORMAT: &str = "a PNG or JPEG picture";
/// A larger file is no picture to learn from.
const MOST_BYTES: u64 = 64 << 20;

/// Pictures with their classes: the columns `image` (channels first, if there are three) and `label`.
pub(super) struct Images {
    outline: Outline,
    /// Of every picture.
    shape: Vec<usize>,
    files: Vec<Image>,
}

/// A file.
struct Image {
    at: Location,
    /// As errors name it.
    name: String,
    /// As it was when it was found.
    stamp: Stamp,
    label: String,
}

impl Images {
    /// # Errors
    /// A file is not there, or the first is no picture.
    pub(super) fn open(name: &str, found: Vec<Location>) -> Result<Self, DataError> {
        let image = |at: Location| {
            let (stamp, blob) = places::packed(at.clone())?;
            Ok(Image { at, name: blob.name().into(), label: folder(&stamp.path), stamp })
        };
        Self::new(name, found.into_iter().map(image).collect::<Result<_, _>>()?)
    }

    /// As another has found them.
    ///
    /// # Errors
    /// As [`Images::open`].
    pub(super) fn reopen(
        name: &str,
        files: &[FileEntry],
        place: &dyn Fn(&FileEntry) -> Option<String>,
    ) -> Result<Self, DataError> {
        let image = |entry: &FileEntry| {
            let path = place(entry).ok_or_else(|| DataError::whole(&entry.path, Wrong::NotHere))?;
            if entry.rows != [1] {
                return Err(DataError::whole(&entry.path, Wrong::BadEntry("a picture that is not one row")));
            }
            let FileEntry { length, modified, etag, .. } = entry.clone();
            let stamp = Stamp { path: path.clone(), length, modified, etag };
            let label = folder(&entry.path);
            Ok(Image { at: Location::of(&path, Path::new(""))?, name: path, stamp, label })
        };
        Self::new(name, files.iter().map(image).collect::<Result<_, _>>()?)
    }

    fn new(name: &str, files: Vec<Image>) -> Result<Self, DataError> {
        let first = files.first().ok_or_else(|| DataError::whole(name, Wrong::NoRows))?;
        let bytes = first.bytes()?;
        let shape = guarded(&first.name, FORMAT, || pixels::shape(&bytes))?;
        let rows = rows_of(shape.iter().fold(1u64, |all, size| all.saturating_mul(*size as u64)));
        let columns = vec![
            Column { name: "image".into(), kind: Kind::Bytes(shape.clone()) },
            Column { name: "label".into(), kind: Kind::Text },
        ];
        let outline = Outline::new(name, columns, cut(files.len() as u64, rows))?;
        Ok(Self { outline, shape, files })
    }

    /// The pixels of a file; or why it is not one of these pictures.
    fn pixels(&self, image: &Image) -> Result<Result<Vec<u8>, Wrong>, DataError> {
        let bytes = image.bytes()?;
        let damaged = |why| Err(Wrong::Damaged { format: FORMAT, why });
        let decoded = guarded(&image.name, FORMAT, || Ok(pixels::decode(&bytes, &self.shape)));
        Ok(match decoded {
            Ok(Ok(pixels)) => Ok(pixels),
            Ok(Err(Bad::Damaged(why))) => damaged(why),
            Ok(Err(Bad::Shape(found))) => Err(Wrong::Picture {
                found: words(&found),
                first: format!("{} has {}", self.locate(0).0, words(&self.shape)),
            }),
            Err(DataError { what, .. }) => Err(what),
        })
    }
}

impl Image {
    /// All of its bytes, which must be those of the file that was found.
    fn bytes(&self) -> Result<bytes::Bytes, DataError> {
        let (now, blob): (Stamp, Arc<dyn Blob>) = places::packed(self.at.clone())?;
        let (before, wrong) = (&self.stamp, |what| DataError::whole(&self.name, what));
        if before.length != now.length {
            let what = "its length";
            return Err(wrong(Wrong::Changed { what, before: before.length, now: now.length }));
        }
        if before.etag.as_ref().zip(now.etag.as_ref()).is_some_and(|(before, now)| before != now) {
            return Err(wrong(Wrong::Replaced));
        }
        if now.length > MOST_BYTES {
            let why = format!("it has {} bytes, more than {MOST_BYTES}", now.length);
            return Err(wrong(Wrong::Damaged { format: FORMAT, why }));
        }
        blob.read(0..now.length)
    }
}

/// The name of the folder that a file lies in.
fn folder(path: &str) -> String {
    path.rsplit('/').nth(1).unwrap_or_default().into()
}

/// A shape as people say it.
fn words(shape: &[usize]) -> String {
    match shape {
        [_, height, width] => format!("{width} x {height} pixels in colour"),
        [height, width] => format!("{width} x {height} pixels in grey"),
        _ => format!("{shape:?}"),
    }
}

impl Dataset for Images {
    fn outline(&self) -> &Outline {
        &self.outline
    }

    fn read(&self, block: Block, columns: &[usize]) -> Result<Chunk, DataError> {
        self.outline.index(block)?;
        let at = |row: u64| usize::try_from(row).unwrap_or(usize::MAX);
        let files = self.files.get(at(block.first)..at(block.first + block.rows)).unwrap_or_default();
        let mut torn = Vec::new();
        let mut values = Vec::new();
        for column in columns {
            values.push(if *column == 0 {
                let length = self.shape.iter().product::<usize>();
                let size = i32::try_from(length).unwrap_or(i32::MAX);
                let mut pictures = FixedSizeBinaryBuilder::with_capacity(files.len(), size);
                for (row, image) in (block.first..).zip(files) {
                    match self.pixels(image)? {
                        // They have this length.
                        Ok(pixels) => drop(pictures.append_value(pixels)),
                        Err(why) => {
                            torn.push((row, why));
                            pictures.append_null();
                        }
                    }
                }
                Values::Bytes(pictures.finish())
            } else {
                Values::Text(LargeStringArray::from_iter_values(files.iter().map(|image| &image.label)))
            });
        }
        Ok(Chunk { values, torn })
    }

    fn locate(&self, row: u64) -> (String, Place) {
        let image = usize::try_from(row).ok().and_then(|row| self.files.get(row));
        (image.map_or_else(|| self.file().into(), |image| image.name.clone()), Place::Whole)
    }

    fn files(&self) -> Vec<FileEntry> {
        let entry = |image: &Image| {
            let Stamp { path, length, modified, etag } = image.stamp.clone();
            FileEntry { path, length, modified, etag, rows: vec![1], text: None }
        };
        self.files.iter().map(entry).collect()
    }
}
