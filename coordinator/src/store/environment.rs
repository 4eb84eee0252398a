//! `env.json`: under what a run computes.

use std::path::{Path, PathBuf};

use lockstep_core::chain::Inputs;
use lockstep_core::{blas, numerics};
use serde::{Deserialize, Serialize};

use super::error::{Damage, StoreError};
use super::manifest::hex;
use super::{files, names};
use crate::machine::Fingerprint;

/// What the coordinator's process is, and what the run's first worker computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of Lockstep.
    pub lockstep: String,
    /// Such as `x86-64/Haswell/1`.
    pub numerics: String,
    /// What every worker is compared with; none before the first.
    pub fingerprint: Option<StoredFingerprint>,
    /// What the run's digests follow from: run file and rows.
    pub inputs: Inputs,
    /// The folder from which the run file's relative paths start.
    pub base: PathBuf,
    /// The library that multiplies.
    pub blas: Blas,
    /// Where the coordinator runs.
    pub host: String,
    /// Such as `linux`.
    pub system: String,
    /// Such as `x86_64`.
    pub architecture: String,
}

/// The library that multiplies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blas {
    /// Its own description.
    pub library: String,
    /// Such as `Haswell`.
    pub kernel: String,
    /// Of one product.
    pub threads: usize,
}

/// A fingerprint as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFingerprint {
    /// The first worker's numerics.
    pub numerics: String,
    /// 64 hexadecimal digits.
    pub hash: String,
}

impl Environment {
    /// Of this process.
    pub fn here(fingerprint: Option<&Fingerprint>, inputs: Inputs, base: &Path) -> Self {
        let host = nix::unistd::gethostname();
        Self {
            lockstep: env!("CARGO_PKG_VERSION").into(),
            numerics: numerics::name(),
            fingerprint: fingerprint.map(|fingerprint| StoredFingerprint {
                numerics: fingerprint.numerics.clone(),
                hash: hex(&fingerprint.hash),
            }),
            inputs,
            base: base.to_owned(),
            blas: Blas { library: blas::library(), kernel: blas::kernel(), threads: blas::threads() },
            host: host.map_or_else(|_| "unknown".into(), |host| host.to_string_lossy().into_owned()),
            system: std::env::consts::OS.into(),
            architecture: std::env::consts::ARCH.into(),
        }
    }

    pub(super) fn write(&self, directory: &Path) -> Result<(), StoreError> {
        let path = directory.join(names::ENVIRONMENT);
        let text = serde_json::to_string_pretty(self).map_err(|error| StoreError::damaged(&path, error))?;
        files::replace(&path, (text + "\n").as_bytes())
    }
}

/// Under what the run of a directory computes; none before its first start.
///
/// # Errors
/// The file cannot be read.
pub fn read_environment(directory: &Path) -> Result<Option<Environment>, StoreError> {
    let path = directory.join(names::ENVIRONMENT);
    let Some(text) = files::read_if_there(&path)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| StoreError::damaged(&path, error))
}

/// The fingerprint that a run directory holds; none before the first worker.
pub(super) fn fingerprint(directory: &Path) -> Result<Option<Fingerprint>, StoreError> {
    let path = directory.join(names::ENVIRONMENT);
    let stored = read_environment(directory)?.and_then(|environment| environment.fingerprint);
    let Some(StoredFingerprint { numerics, hash }) = stored else { return Ok(None) };
    match bytes(&hash) {
        Some(hash) => Ok(Some(Fingerprint { numerics, hash })),
        None => {
            Err(StoreError::damaged(&path, Damage::Text { found: hash, expected: "64 hexadecimal digits" }))
        }
    }
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        // `from_str_radix` alone would take a sign.
        let digits = std::str::from_utf8(pair).ok().filter(|_| pair.iter().all(u8::is_ascii_hexdigit))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}
