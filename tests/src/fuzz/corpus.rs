//! The valid files that cases begin with: `tests/corpus/TARGET/`, small and our own.

use std::fs;
use std::path::{Path, PathBuf};

/// A target's files, by name, in the order of their names.
pub(super) type Files = Vec<(String, Vec<u8>)>;

/// The folder of all targets.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Of the files in a folder; none if it is not there.
pub(super) fn read(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap());
    // Data that the examples fetch lie in folders beside their run files.
    let entries = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut files: Files = entries.map(|entry| (name(&entry), fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}
