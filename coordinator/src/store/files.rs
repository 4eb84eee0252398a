//! Files that are whole or not there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::error::{Damage, StoreError};
use super::manifest::{Entry, hex};

/// Reads a file that must be there.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(StoreError::damaged(path, Damage::Missing))
        }
        Err(error) => Err(StoreError::io(path, "be read")(error)),
    }
}

/// Reads a text that may be missing.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read(path) {
        // Whatever is not UTF-8 is not what was written; its reader says so.
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(path, "be read")(error)),
    }
}

/// Writes a new file and syncs it; what it is, for the manifest.
pub(super) fn write(
    path: &Path,
    content: impl FnOnce(&mut Hashing) -> Result<(), StoreError>,
) -> Result<Entry, StoreError> {
    let file = File::create(path).map_err(StoreError::io(path, "be created"))?;
    let mut out = Hashing { file: BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
    content(&mut out)?;
    let failed = StoreError::io(path, "be written");
    let Hashing { mut file, hash, bytes } = out;
    match file.flush().and_then(|()| file.get_ref().sync_all()) {
        Ok(()) => Ok(Entry { bytes, sha256: hex(&hash.finalize()) }),
        Err(error) => Err(failed(error)),
    }
}

/// Puts bytes under a name: the old file or the new one is there, whenever the power fails.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let beside = with_suffix(path, ".tmp");
    let written = write(&beside, |out| out.write_all(bytes).map_err(StoreError::io(path, "be written")));
    finish(written, &beside, path)
}

/// As [`replace`], with the bytes of another file.
pub(super) fn replace_by_copy(path: &Path, source: &Path) -> Result<(), StoreError> {
    let beside = with_suffix(path, ".tmp");
    let mut from = File::open(source).map_err(StoreError::io(source, "be read"))?;
    let written = write(&beside, |out| match io::copy(&mut from, out) {
        Ok(_) => Ok(()),
        Err(error) => Err(StoreError::io(path, "be written")(error)),
    });
    finish(written, &beside, path)
}

fn finish(written: Result<Entry, StoreError>, beside: &Path, path: &Path) -> Result<(), StoreError> {
    let renamed = written
        .and_then(|_| fs::rename(beside, path).map_err(StoreError::io(path, "be replaced")))
        .and_then(|()| sync_folder(path.parent()));
    if renamed.is_err() {
        // On a full disk the room is needed; that the file cannot be removed either is no news.
        let _ = fs::remove_file(beside);
    }
    renamed
}

/// Makes renames in a folder last.
pub(super) fn sync_folder(folder: Option<&Path>) -> Result<(), StoreError> {
    let folder = folder.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|file| file.sync_all());
    synced.map_err(StoreError::io(folder, "be synced"))
}

/// Removes a folder if it is there.
pub(super) fn remove_folder(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io(path, "be removed")(error))
        }
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// A file that is hashed while it is written.
pub(super) struct Hashing {
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
