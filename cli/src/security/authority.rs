//! A certificate authority: it issues what the processes of a cluster show to each other.
//!
//! Keys are ECDSA over P-256: short, fast, and known to every implementation of TLS.

use std::net::IpAddr;
use std::path::Path;

use lockstep_proto::tls::{ADMIN, FileError, private};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use super::files;
use crate::failure::Failure;

/// Days that an authority is good for.
pub const AUTHORITY_DAYS: u32 = 3653;

/// Signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    key: String,
}

/// A certificate and its key, as PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(name: &str) -> Result<Self, Failure> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(name, &[], AUTHORITY_DAYS)?;
        // It signs processes, no further authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        let text = key.serialize_pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate, key: text })
    }

    /// The one in a folder, as [`Self::write`] wrote it.
    ///
    /// # Errors
    /// There is none, or it cannot be used.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("ca.key");
        let bytes = private(&path).map_err(Failure::usage)?;
        let key = String::from_utf8_lossy(&bytes).into_owned();
        let certificate = files::read(&folder.join("ca.crt"))?;
        let wrong = |error: rcgen::Error| Failure::usage(FileError::new(&path, error));
        let pair = KeyPair::from_pem(&key).map_err(wrong)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, pair).map_err(wrong)?;
        Ok(Self { issuer, certificate, key })
    }

    /// Into a folder, for [`Self::read`].
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        files::folder(folder)?;
        files::write(&folder.join("ca.key"), files::SECRET, &self.key)?;
        files::write(&folder.join("ca.crt"), files::PUBLIC, &self.certificate)
    }

    /// Its certificate, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A coordinator's certificate, good for these names and addresses.
    ///
    /// # Errors
    /// One of them is neither.
    pub fn coordinator(&self, names: &[String], days: u32) -> Result<Issued, Failure> {
        self.issue(params("lockstep coordinator", names, days)?, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A worker's certificate.
    ///
    /// # Errors
    /// The name cannot be written into it.
    pub fn worker(&self, name: &str, days: u32) -> Result<Issued, Failure> {
        self.issue(params(name, &[], days)?, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// An admin's certificate.
    ///
    /// # Errors
    /// The name cannot be written into it.
    pub fn admin(&self, name: &str, days: u32) -> Result<Issued, Failure> {
        let mut params = params(name, &[], days)?;
        params.subject_alt_names.push(SanType::URI(ADMIN.try_into().map_err(failed)?));
        self.issue(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Issued, Failure> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

impl Issued {
    /// Into a folder, with the authority's certificate: a certs folder.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, folder: &Path, authority: &Authority) -> Result<(), Failure> {
        files::folder(folder)?;
        files::write(&folder.join("ca.crt"), files::PUBLIC, authority.certificate())?;
        files::write(&folder.join("tls.key"), files::SECRET, &self.key)?;
        files::write(&folder.join("tls.crt"), files::PUBLIC, &self.certificate)
    }
}

fn params(name: &str, names: &[String], days: u32) -> Result<CertificateParams, Failure> {
    for name in names {
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
        if name.parse::<IpAddr>().is_err() && (name.is_empty() || !name.chars().all(fine)) {
            return Err(Failure::usage(format!("--name {name:?}: neither a host's name nor an address")));
        }
    }
    let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    // Clocks of a cluster may differ.
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(days.into());
    Ok(params)
}

fn failed(error: rcgen::Error) -> Failure {
    Failure::failed(format!("a certificate cannot be made: {error}"))
}
