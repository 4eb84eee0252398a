//! Files that are gzipped or packed by zstd.
//!
//! They cannot be entered in the middle. What they hold is kept in memory if it is small; else in a file
//! of the cache folder that has no name, so that it is gone with the process however that ends.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::local::Local;
use super::{Blob, Memory, Opened, SMALL, Stamp, Stream, cache_folder};
use crate::{DataError, Wrong};

/// # Errors
/// The stream is cut off or damaged, or there is no room for what it holds.
pub(super) fn inflated(stamp: Stamp, blob: Arc<dyn Blob>) -> Result<Opened, DataError> {
    let head = blob.read(0..4.min(blob.length()))?;
    let stream = Stream::new(blob.clone(), 0);
    let name = blob.name().to_owned();
    let (by, mut reader): (_, Box<dyn Read>) = if head.starts_with(&[0x1f, 0x8b]) {
        ("gzip", Box::new(MultiGzDecoder::new(stream)))
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::Decoder::with_buffer(stream);
        ("zstd", Box::new(decoder.map_err(|error| DataError::whole(&name, Wrong::Io(error.to_string())))?))
    } else {
        return Ok(Opened { stamp, blob, packed: false });
    };
    let damaged = |error: io::Error| DataError::whole(&name, Wrong::Packed { by, why: error.to_string() });
    let blob = kept(&name, &mut reader, &damaged)?;
    Ok(Opened { stamp, blob, packed: true })
}

/// All that a reader gives, in memory or on disk.
pub(crate) fn kept(
    name: &str,
    reader: &mut dyn Read,
    damaged: &dyn Fn(io::Error) -> DataError,
) -> Result<Arc<dyn Blob>, DataError> {
    kept_in(&cache_folder(), name, reader, damaged)
}

fn kept_in(
    folder: &Path,
    name: &str,
    reader: &mut dyn Read,
    damaged: &dyn Fn(io::Error) -> DataError,
) -> Result<Arc<dyn Blob>, DataError> {
    let mut bytes = Vec::new();
    reader.take(SMALL + 1).read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() as u64 <= SMALL {
        return Ok(Arc::new(Memory::new(name, bytes)));
    }
    let full = |error: io::Error| {
        let (folder, why) = (folder.display().to_string(), error.to_string());
        DataError::whole(name, Wrong::Cache { folder, why })
    };
    let mut file = fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder)).map_err(full)?;
    let length = copy(bytes, reader, &mut file, damaged, &full)?;
    tracing::info!(file = name, bytes = length, folder = %folder.display(), "inflated, to be read in any order");
    Ok(Arc::new(Local::new(name.into(), file, length)))
}

/// Copies on, so that reading's and writing's errors stay apart.
fn copy(
    mut bytes: Vec<u8>,
    reader: &mut dyn Read,
    file: &mut File,
    damaged: &dyn Fn(io::Error) -> DataError,
    full: &dyn Fn(io::Error) -> DataError,
) -> Result<u64, DataError> {
    let mut length = 0;
    while !bytes.is_empty() {
        file.write_all(&bytes).map_err(full)?;
        length += bytes.len() as u64;
        bytes.clear();
        reader.take(1 << 20).read_to_end(&mut bytes).map_err(damaged)?;
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_is_kept_on_disk_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let damaged = |error: io::Error| DataError::whole("a", Wrong::Io(error.to_string()));
        let cache = folder.path().join("cache");
        let keep = |folder: &Path, bytes: u64| kept_in(folder, "a", &mut io::repeat(7).take(bytes), &damaged);
        assert_eq!(keep(&cache, SMALL).unwrap().length(), SMALL);
        assert!(!cache.exists());
        let large = keep(&cache, SMALL + 3_000_000).unwrap();
        assert_eq!(large.length(), SMALL + 3_000_000);
        assert_eq!(large.read(SMALL + 2_999_998..SMALL + 3_000_000).unwrap(), [7, 7][..]);
        assert!(large.read(SMALL..SMALL + 3_000_001).is_err());
        assert_eq!(cache.read_dir().unwrap().count(), 0);
        std::fs::write(folder.path().join("file"), "").unwrap();
        let error = keep(&folder.path().join("file"), SMALL + 1).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("file: ") && error.contains("let LOCKSTEP_CACHE name a folder"), "{error}");
    }
}
