//! Files of this machine.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, absolute};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;

use super::{Blob, Stamp};
use crate::{DataError, Wrong};

/// A file, read at places rather than from one place on, so that threads do not share a position.
pub(super) struct Local {
    name: String,
    file: File,
    length: u64,
}

/// # Errors
/// There is no such file, or it cannot be read.
pub(super) fn open(path: &Path) -> Result<(Stamp, Arc<dyn Blob>), DataError> {
    let name = path.display().to_string();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => DataError::whole(&name, Wrong::NoFile { nearest: nearest_beside(path) }),
        _ => DataError::whole(&name, Wrong::Io(error.to_string())),
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let stamp = Stamp {
        path: absolute(path).map_err(failed)?.display().to_string(),
        length: metadata.len(),
        modified: modified.and_then(|since| u64::try_from(since.as_nanos()).ok()),
        etag: None,
    };
    let local = Local::new(name, file, stamp.length);
    Ok((stamp, Arc::new(local)))
}

impl Local {
    pub(super) fn new(name: String, file: File, length: u64) -> Self {
        Self { name, file, length }
    }
}

impl Blob for Local {
    fn name(&self) -> &str {
        &self.name
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn get(&self, range: Range<u64>) -> Result<Bytes, DataError> {
        let failed = |error: io::Error| DataError::whole(&self.name, Wrong::Io(error.to_string()));
        let length = usize::try_from(range.end - range.start);
        let mut bytes = vec![0; length.map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?];
        match self.file.read_exact_at(&mut bytes, range.start) {
            Ok(()) => Ok(bytes.into()),
            // It had these bytes when it was opened.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let now = self.file.metadata().map_err(failed)?.len();
                let before = self.length;
                Err(DataError::whole(&self.name, Wrong::Changed { what: "its length", before, now }))
            }
            Err(error) => Err(failed(error)),
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
