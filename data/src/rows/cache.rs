//! The block cache: encoded blocks on local disk, each in a file named by its digest.
//!
//! It is shared by all runs and processes of a user. A name says what is in a file, so nothing in it can be
//! stale, and a file is checked when it is read. It is never more than a cache: what cannot be written or
//! read comes from where it came from first.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use tracing::{info, warn};

use super::catalog::{BlockDigest, Entry};
use super::digesting::Digesting;
use crate::{Receiver, Shape, Table, cache_folder};

/// Most bytes on disk, unless `LOCKSTEP_CACHE_BYTES` says otherwise; 0 there means no cache.
const MOST: u64 = 16 << 30;

/// A folder of blocks.
#[derive(Debug)]
pub struct BlockCache {
    folder: PathBuf,
    most: u64,
    /// How much more may be written.
    left: AtomicU64,
    told: AtomicBool,
}

impl BlockCache {
    /// The user's cache; `None` if there is to be none.
    pub fn of_user() -> Option<Self> {
        let most = Self::bytes_of_user().unwrap_or(MOST);
        (most > 0).then(|| Self::new(cache_folder().join("blocks"), most))
    }

    /// Bytes that the user's cache may have.
    ///
    /// # Errors
    /// `LOCKSTEP_CACHE_BYTES` is no number; in words.
    pub fn bytes_of_user() -> Result<u64, String> {
        match std::env::var_os("LOCKSTEP_CACHE_BYTES") {
            None => Ok(MOST),
            Some(text) => text.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
                format!(
                    "the variable LOCKSTEP_CACHE_BYTES: found {text:?}, expected a number of bytes such as \
                     {MOST}, or 0 for no block cache"
                )
            }),
        }
    }

    /// Of at most so many bytes in a folder. It may be read; nothing is written before
    /// [`BlockCache::make_room`].
    pub fn new(folder: PathBuf, most: u64) -> Self {
        Self { folder, most, left: AtomicU64::new(0), told: AtomicBool::new(false) }
    }

    /// Removes the blocks used longest ago until so many bytes can be written, as far as the cache may
    /// hold them.
    pub fn make_room(&self, bytes: u64) {
        let bytes = bytes.min(self.most);
        let mut files = self.files();
        let mut held: u64 = files.iter().map(|(_, _, length)| length).sum();
        files.sort();
        for (_, path, length) in files {
            if held.saturating_add(bytes) <= self.most {
                break;
            }
            // Another process may have been faster.
            let _ = fs::remove_file(path);
            held -= length;
        }
        self.left.store(self.most.saturating_sub(held), Ordering::Relaxed);
    }

    /// A block, if it is here and whole.
    pub(super) fn load(&self, entry: &Entry, shape: &Shape) -> Option<Table> {
        let path = self.path(entry.digest);
        let file = fs::File::open(&path).ok()?;
        let length = file.metadata().ok()?.len();
        let mut receiver = Receiver::new(Shape { rows: entry.rows, ..shape.clone() }).ok()?;
        let mut bytes = Digesting::new(file);
        let read = receiver.read(&mut bytes, length);
        if bytes.digest().ok()? != entry.digest {
            warn!("{}: a damaged block is removed from the cache", path.display());
            let _ = fs::remove_file(&path);
            return None;
        }
        read.and_then(|()| receiver.finish()).ok()
    }

    /// Keeps a block's bytes, if there is room.
    pub(super) fn store(&self, digest: BlockDigest, bytes: &[u8]) {
        let length = bytes.len() as u64;
        let path = self.path(digest);
        if let Ok(file) = fs::File::options().append(true).open(&path) {
            // Used again: it is not the next to go. What fails here only makes it older.
            let _ = file.set_modified(SystemTime::now());
            return;
        }
        let take = |left: u64| left.checked_sub(length);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return;
        }
        if let Err(error) = write(&path, bytes) {
            // Most likely the disk is full.
            self.left.store(0, Ordering::Relaxed);
            if !self.told.swap(true, Ordering::Relaxed) {
                info!("{}: blocks are no longer kept here: {error}", self.folder.display());
            }
        }
    }

    fn path(&self, digest: BlockDigest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join(name.get(..2).unwrap_or_default()).join(name)
    }

    fn files(&self) -> Vec<(SystemTime, PathBuf, u64)> {
        let folders = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
        let known = files.filter_map(|file| {
            let metadata = file.metadata().ok()?;
            Some((metadata.modified().ok()?, file.path(), metadata.len()))
        });
        known.collect()
    }
}

impl fmt::Display for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = self.most as f64 / (1u64 << 30) as f64;
        write!(
            f,
            "blocks that are read are kept in {}, at most {gib:.1} GiB (LOCKSTEP_CACHE_BYTES; 0: none)",
            self.folder.display()
        )
    }
}

/// Under its name only once it is whole: another process may look for it meanwhile.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
