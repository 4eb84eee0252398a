//! Files that are whole or not there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::error::{Damage, StoreError};
#[cfg(test)]
use super::fault;
use super::manifest::{Entry, hex};

/// Where a test ends the process: before any operation that changes the disk.
#[cfg(not(test))]
mod fault {
    pub(super) const fn before() -> std::io::Result<()> {
        Ok(())
    }

    pub(super) const fn torn(_: &std::path::Path, _: u64) -> std::io::Result<()> {
        Ok(())
    }
}

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

/// How long a file is, and its SHA-256, without holding it in memory.
pub(super) fn hash(path: &Path) -> Result<(u64, String), StoreError> {
    let hashed = File::open(path).and_then(|mut file| {
        let (mut hash, mut bytes, mut part) = (Sha256::new(), 0, vec![0; 1 << 18]);
        loop {
            let read = file.read(&mut part)?;
            if read == 0 {
                return Ok((bytes, hex(&hash.finalize())));
            }
            hash.update(part.get(..read).unwrap_or_default());
            bytes += read as u64;
        }
    });
    hashed.map_err(StoreError::io(path, "be read"))
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
    let file = fault::before().and_then(|()| File::create(path));
    let file = file.map_err(StoreError::io(path, "be created"))?;
    let mut out = Hashing { file: BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
    content(&mut out)?;
    let failed = StoreError::io(path, "be written");
    let Hashing { mut file, hash, bytes } = out;
    let flushed = file.flush().and_then(|()| fault::torn(path, 0));
    match flushed.and_then(|()| file.get_ref().sync_all()) {
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

/// As [`replace`], with the bytes of another file, which must be what it was when it was written.
pub(super) fn replace_by_copy(path: &Path, source: &Path, expected: &Entry) -> Result<(), StoreError> {
    let beside = with_suffix(path, ".tmp");
    let mut from = File::open(source).map_err(StoreError::io(source, "be read"))?;
    let written = write(&beside, |out| match io::copy(&mut from, out) {
        Ok(_) => Ok(()),
        Err(error) => Err(StoreError::io(path, "be written")(error)),
    });
    let checked = written.and_then(|found| match expected.compare(found.bytes, &found.sha256) {
        Ok(()) => Ok(found),
        Err(what) => Err(StoreError::damaged(source, what)),
    });
    finish(checked, &beside, path)
}

fn finish(written: Result<Entry, StoreError>, beside: &Path, path: &Path) -> Result<(), StoreError> {
    let renamed = written.and_then(|_| rename(beside, path)).and_then(|()| sync_folder(path.parent()));
    if renamed.is_err() && fault::before().is_ok() {
        // On a full disk the room is needed; that the file cannot be removed either is no news.
        let _ = fs::remove_file(beside);
    }
    renamed
}

/// Makes a folder that is not there.
pub(super) fn create_folder(path: &Path) -> Result<(), StoreError> {
    fault::before().and_then(|()| fs::create_dir(path)).map_err(StoreError::io(path, "be created"))
}

/// Gives a file or folder another name; whatever file had it is gone.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fault::before().and_then(|()| fs::rename(from, to)).map_err(StoreError::io(to, "be put in place"))
}

/// Appends to a file that is known to hold `len` bytes, and waits until it is on disk. What an append
/// that failed has left behind goes: a torn line would swallow the next one.
pub(super) fn append_synced(mut file: &File, path: &Path, len: u64, bytes: &[u8]) -> Result<(), StoreError> {
    let mut appended = || {
        fault::before()?;
        if file.metadata()?.len() != len {
            file.set_len(len)?;
        }
        file.write_all(bytes).and_then(|()| fault::torn(path, len)).and_then(|()| file.sync_data())
    };
    appended().map_err(StoreError::io(path, "be written"))
}

/// Makes renames in a folder last.
pub(super) fn sync_folder(folder: Option<&Path>) -> Result<(), StoreError> {
    let folder = folder.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = fault::before().and_then(|()| File::open(folder)).and_then(|file| file.sync_all());
    synced.map_err(StoreError::io(folder, "be synced"))
}

/// Removes a folder if it is there.
pub(super) fn remove_folder(path: &Path) -> Result<(), StoreError> {
    match fault::before().and_then(|()| fs::remove_dir_all(path)) {
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
