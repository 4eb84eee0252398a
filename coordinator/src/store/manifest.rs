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
pub(super) const FORMAT: u32 = 1;

impl Manifest {
    pub(super) fn read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(names::MANIFEST);
        let damaged = |what| StoreError::damaged(&path, what);
        let manifest: Self =
            serde_json::from_slice(&files::read(&path)?).map_err(|error| damaged(error.into()))?;
        if manifest.format != FORMAT {
            return Err(damaged(Damage::Format(manifest.format)));
        }
        Ok(manifest)
    }

    /// A file of the folder whose bytes are those that were written.
    pub(super) fn file(&self, folder: &Path, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = folder.join(name);
        let Some(entry) = self.files.get(name) else {
            let what =
                Damage::Tensors { found: "no entry for it in the manifest".into(), expected: "one".into() };
            return Err(StoreError::damaged(&path, what));
        };
        let bytes = files::read(&path)?;
        let found = bytes.len() as u64;
        if found != entry.bytes {
            return Err(StoreError::damaged(&path, Damage::Length { found, expected: entry.bytes }));
        }
        if hex(&Sha256::digest(&bytes)) != entry.sha256 {
            return Err(StoreError::damaged(&path, Damage::Hash));
        }
        Ok(bytes)
    }
}

/// Two lower-case digits a byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
