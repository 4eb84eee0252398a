//! Where bytes come from.
//!
//! ```text
//! path or URL ──open──▶ Blob, if need be inflated ──read(range)──▶ formats/
//! ```
//!
//! A [`Blob`] is bytes that can be read anywhere. No reader asks for all of them at once unless they are
//! few, so that a file may be larger than memory.

mod ahead;
mod cache;
mod entry;
mod inflate;
mod local;
mod location;
#[cfg(feature = "objects")]
mod objects;
mod stream;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::{DataError, Wrong};

pub(crate) use ahead::Ahead;
pub use cache::cache_folder;
pub use entry::{FileEntry, TextEntry};
pub(crate) use inflate::kept;
pub(crate) use location::{Location, is_url, listed, shown};
pub(crate) use stream::Stream;

/// Files of up to so many bytes may be held in memory.
pub(crate) const SMALL: u64 = 16 << 20;

/// See [`Blob::window`].
const WINDOW: u64 = 1 << 20;

/// Bytes that can be read anywhere, from several threads at once.
pub(crate) trait Blob: Send + Sync {
    /// As errors name it.
    fn name(&self) -> &str;

    /// How many bytes there are.
    fn length(&self) -> u64;

    /// The bytes of a range that lies within the length.
    ///
    /// # Errors
    /// They cannot be read, or not all of them are there.
    fn get(&self, range: Range<u64>) -> Result<Bytes, DataError>;

    /// The bytes of several ranges that lie within the length, perhaps fetched at the same time.
    ///
    /// # Errors
    /// As [`Blob::get`].
    fn get_all(&self, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>, DataError> {
        ranges.into_iter().map(|range| self.get(range)).collect()
    }

    /// Bytes that one who goes through all of them does well to ask for at once.
    fn window(&self) -> u64 {
        WINDOW
    }

    /// Whether asking takes so long that what will be needed should be asked for together.
    fn distant(&self) -> bool {
        self.window() > WINDOW
    }

    /// All bytes of a range.
    ///
    /// # Errors
    /// They cannot be read, or the range ends beyond the last byte: nothing is allocated for it.
    fn read(&self, range: Range<u64>) -> Result<Bytes, DataError> {
        if range.end > self.length() {
            let what = Wrong::Truncated { found: self.length(), expected: range.end };
            return Err(DataError::whole(self.name(), what));
        }
        if range.is_empty() { Ok(Bytes::new()) } else { self.get(range) }
    }
}

/// What is known of a file as it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// An absolute path, or a URL.
    pub(crate) path: String,
    pub(crate) length: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified: Option<u64>,
    /// An object store's name for the bytes.
    pub(crate) etag: Option<String>,
}

/// An opened file.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) stamp: Stamp,
    /// What it holds, inflated.
    pub(crate) blob: Arc<dyn Blob>,
    /// Whether it was gzipped or packed by zstd.
    pub(crate) packed: bool,
}

/// Opens a file. Whether it is packed is seen from its first bytes, not from its name.
///
/// # Errors
/// There is no such file, or it cannot be read or inflated.
pub(crate) fn open(location: Location) -> Result<Opened, DataError> {
    let (stamp, blob) = packed(location)?;
    inflate::inflated(stamp, blob)
}

/// Whether a file is the one of a description, as far as can be seen without reading it.
pub(crate) fn is_as_described(location: Location, entry: &FileEntry) -> bool {
    let Ok((Stamp { path, length, modified, etag }, _)) = packed(location) else { return false };
    let known = modified.is_some() || etag.is_some();
    known
        && (path, length, modified, etag)
            == (entry.path.clone(), entry.length, entry.modified, entry.etag.clone())
}

/// As it lies there.
///
/// # Errors
/// There is no such file, or it cannot be read.
pub(crate) fn packed(location: Location) -> Result<(Stamp, Arc<dyn Blob>), DataError> {
    match location {
        Location::File(path) => local::open(&path),
        #[cfg(feature = "objects")]
        Location::Object(found) => objects::open(found),
    }
}

impl Opened {
    pub(crate) fn name(&self) -> &str {
        self.blob.name()
    }

    /// The first bytes, up to so many.
    pub(crate) fn head(&self, most: u64) -> Result<Bytes, DataError> {
        self.blob.read(0..most.min(self.blob.length()))
    }

    /// A description of it, with its rows in blocks.
    pub(crate) fn entry(&self, rows: Vec<u64>, text: Option<TextEntry>) -> FileEntry {
        let Stamp { path, length, modified, etag } = self.stamp.clone();
        FileEntry { path, length, modified, etag, rows, text }
    }
}

/// Bytes in memory.
pub(crate) struct Memory {
    name: String,
    bytes: Bytes,
}

impl Memory {
    pub(crate) fn new(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

impl Blob for Memory {
    fn name(&self) -> &str {
        &self.name
    }

    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn get(&self, range: Range<u64>) -> Result<Bytes, DataError> {
        let at = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX).min(self.bytes.len());
        Ok(self.bytes.slice(at(range.start)..at(range.end)))
    }
}
