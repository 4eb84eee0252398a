//! A file's bytes, plain or gzipped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::{DataError, Wrong};

/// Deflate cannot pack tighter than this: more is a lie of some header.
const MOST_INFLATED: u64 = 1032;

/// An opened file. Whether it is gzipped is seen from its first bytes, not from its name.
pub(crate) struct Opened {
    pub(crate) name: String,
    reader: Box<dyn Read>,
    gzipped: bool,
    /// The most bytes that it can hold, inflated.
    pub(crate) most: u64,
}

/// # Errors
/// There is no such file, or it cannot be read.
pub(crate) fn open(path: &Path) -> Result<Opened, DataError> {
    let name = path.display().to_string();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => DataError::whole(&name, Wrong::NoFile { nearest: nearest_beside(path) }),
        _ => DataError::whole(&name, Wrong::Io(error.to_string())),
    };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut plain = BufReader::new(file);
    let gzipped = plain.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    let (reader, most): (Box<dyn Read>, u64) = if gzipped {
        (Box::new(MultiGzDecoder::new(plain)), length.saturating_mul(MOST_INFLATED))
    } else {
        (Box::new(plain), length)
    };
    Ok(Opened { name, reader, gzipped, most })
}

impl Opened {
    pub(crate) fn gzipped(&self) -> bool {
        self.gzipped
    }

    /// Reads up to `most` bytes; fewer only at the end. Allocates as bytes come, whatever was announced.
    pub(crate) fn read(&mut self, most: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        match self.reader.by_ref().take(most).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) if self.gzipped => Err(DataError::whole(&self.name, Wrong::Gzip(error.to_string()))),
            Err(error) => Err(DataError::whole(&self.name, Wrong::Io(error.to_string()))),
        }
    }
}

fn nearest_beside(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut names: Vec<String> =
        folder.read_dir().ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    lockstep_core::nearest(wanted, &names).map(Into::into)
}
