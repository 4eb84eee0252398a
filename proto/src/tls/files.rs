//! A certs folder: `ca.crt`, `tls.crt` and `tls.key`, as Kubernetes' TLS secrets are laid out.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Certificate, Fingerprint};

/// A file that cannot be used, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    path: PathBuf,
    why: String,
}

impl FileError {
    /// About this file.
    pub fn new(path: &Path, why: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), why: why.to_string() }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for FileError {}

/// Reads a secret that not everybody may read. A group may: Kubernetes mounts secrets so.
///
/// # Errors
/// It cannot be read, or everybody can.
pub fn private(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |error: io::Error| FileError::new(path, format!("cannot be read: {error}"));
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o007 != 0 {
        let path_text = path.display();
        return Err(FileError::new(
            path,
            format!(
                "every user of this machine may read it (mode {:03o}): chmod 600 {path_text}",
                mode & 0o777
            ),
        ));
    }
    fs::read(path).map_err(failed)
}

/// Who a process is, and whom it believes.
#[derive(Debug)]
pub struct Identity {
    /// Authorities whose certificates it believes.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Its own certificate, and those between it and an authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of its own certificate.
    pub key: PrivateKeyDer<'static>,
    /// What its own certificate says.
    pub own: Certificate,
}

impl Identity {
    /// Out of a folder's three files.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn read(folder: &Path) -> Result<Self, FileError> {
        let (crt, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        let chain = certificates(&crt)?;
        let first = chain.first().ok_or_else(|| FileError::new(&crt, "holds no certificate"))?;
        let own = Certificate::parse(first).map_err(|why| FileError::new(&crt, why))?;
        let pem = private(&key)?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
            FileError::new(&key, "holds no private key in PEM; a key under a password cannot be used")
        })?;
        Ok(Self { authorities: certificates(&folder.join("ca.crt"))?, chain, key, own })
    }

    /// Of the first certificate in a file.
    ///
    /// # Errors
    /// There is none.
    pub fn fingerprint(path: &Path) -> Result<Fingerprint, FileError> {
        let all = certificates(path)?;
        let first = all.first().ok_or_else(|| FileError::new(path, "holds no certificate"))?;
        Ok(Fingerprint::of(first))
    }

    /// Both certificates and key as they are asked for by rustls.
    pub fn into_parts(self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain, self.key)
    }
}

/// A store of these authorities.
///
/// # Errors
/// One of them is no certificate, with its number from 1.
pub fn authorities(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for (number, certificate) in certificates.iter().enumerate() {
        store.add(certificate.clone()).map_err(|error| format!("certificate {}: {error}", number + 1))?;
    }
    Ok(store)
}

/// At least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let pem = fs::read(path).map_err(|error| FileError::new(path, format!("cannot be read: {error}")))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(FileError::new(path, "holds no certificate in PEM")),
        Err(error) => Err(FileError::new(path, format!("is no PEM: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_everybody_may_read_is_refused() {
        let folder = std::env::temp_dir().join(format!("lockstep-private-{}", std::process::id()));
        fs::write(&folder, "secret").unwrap();
        for (mode, fine) in [(0o600, true), (0o640, true), (0o440, true), (0o644, false), (0o602, false)] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            let read = private(&folder);
            assert_eq!(read.is_ok(), fine, "{mode:o}: {read:?}");
            if let Err(error) = read {
                assert!(error.to_string().contains("chmod 600"), "{error}");
            }
        }
        fs::remove_file(folder).unwrap();
    }
}
