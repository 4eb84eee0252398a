//! The manifest of a checkpoint: written last, it says what the other files are.

use std::collections::BTreeMap;
use std::path::Path;

use lockstep_core::digest::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::{Damage, StoreError};
use super::{files, names};

/// What a checkpoint's files are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// Steps that are done.
    pub(super) step: u64,
    /// Of model and optimizer.
    pub(super) digest: Digest,
    pub(super) files: BTreeMap<String, Entry>,
}

/// What one file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) bytes: u64,
    /// 64 hexadecimal digits.
    pub(super) sha256: String,
}

/// Version of the layout of a checkpoint.
pub(super) const FORMAT: u32 = 2;

/// What every version's manifest has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Manifest {
    pub(super) fn read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(names::MANIFEST);
        let damaged = |error: serde_json::Error| StoreError::damaged(&path, error);
        let bytes = files::read(&path)?;
        let Version { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if format != FORMAT {
            return Err(StoreError::Version { path, found: format, known: FORMAT });
        }
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Reads all files back: whether they are what was written.
    pub(super) fn check(&self, folder: &Path) -> Result<(), StoreError> {
        for (name, entry) in &self.files {
            let path = folder.join(name);
            let (bytes, hash) = files::hash(&path)?;
            entry.compare(bytes, &hash).map_err(|what| StoreError::damaged(&path, what))?;
        }
        Ok(())
    }

    /// What a file is.
    pub(super) fn entry(&self, folder: &Path, name: &str) -> Result<&Entry, StoreError> {
        self.files.get(name).ok_or_else(|| {
            let what =
                Damage::Tensors { found: "no entry for it in the manifest".into(), expected: "one".into() };
            StoreError::damaged(&folder.join(name), what)
        })
    }

    /// A file of the folder whose bytes are those that were written.
    pub(super) fn file(&self, folder: &Path, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = folder.join(name);
        let entry = self.entry(folder, name)?;
        let bytes = files::read(&path)?;
        let hash = hex(&Sha256::digest(&bytes));
        entry.compare(bytes.len() as u64, &hash).map_err(|what| StoreError::damaged(&path, what))?;
        Ok(bytes)
    }
}

impl Entry {
    pub(super) fn compare(&self, bytes: u64, sha256: &str) -> Result<(), Damage> {
        if bytes != self.bytes {
            return Err(Damage::Length { found: bytes, expected: self.bytes });
        }
        if sha256 == self.sha256 { Ok(()) } else { Err(Damage::Hash) }
    }
}

/// Two lower-case digits a byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
