//! A file's bytes, plain, gzipped or packed by zstd.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::{DataError, Wrong};

/// Deflate cannot pack tighter than this: more is a lie of some header.
const MOST_INFLATED: u64 = 1032;

/// An opened file. Whether it is packed is seen from its first bytes, not from its name.
pub(crate) struct Opened {
    pub(crate) name: String,
    reader: Box<dyn Read>,
    packed: Option<&'static str>,
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
    let head = plain.fill_buf().map_err(failed)?;
    let (gzip, zstd) = (head.starts_with(&[0x1f, 0x8b]), head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    let (reader, packed, most): (Box<dyn Read>, _, _) = if gzip {
        (Box::new(MultiGzDecoder::new(plain)), Some("gzip"), length.saturating_mul(MOST_INFLATED))
    } else if zstd {
        let decoder = zstd::Decoder::with_buffer(plain).map_err(failed)?;
        (Box::new(decoder), Some("zstd"), u64::MAX)
    } else {
        (Box::new(plain), None, length)
    };
    Ok(Opened { name, reader, packed, most })
}

impl Opened {
    pub(crate) fn packed(&self) -> bool {
        self.packed.is_some()
    }

    /// Reads up to `most` bytes; fewer only at the end. Allocates as bytes come, whatever was announced.
    pub(crate) fn read(&mut self, most: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        match self.reader.by_ref().take(most).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => {
                let why = error.to_string();
                let what = self.packed.map_or(Wrong::Io(why.clone()), |by| Wrong::Packed { by, why });
                Err(DataError::whole(&self.name, what))
            }
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
