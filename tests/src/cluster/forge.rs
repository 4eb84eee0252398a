//! Certificates of every kind, good and bad.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lockstep_proto::tls::ADMIN;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

/// An authority.
#[derive(Debug)]
pub struct Forge {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct Paper {
    /// Whom it is for.
    pub name: &'static str,
    /// What it is good for, names and addresses, and URIs.
    pub names: Vec<&'static str>,
    /// Its roles.
    pub usages: Vec<ExtendedKeyUsagePurpose>,
    /// Days from now: from and until.
    pub days: (i64, i64),
}

impl Paper {
    /// A coordinator's, on the loopback.
    pub fn coordinator() -> Self {
        let usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Self { name: "coordinator", names: vec!["127.0.0.1"], usages, days: (-1, 30) }
    }

    /// A worker's.
    pub fn worker() -> Self {
        let usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Self { name: "worker", names: vec![], usages, days: (-1, 30) }
    }

    /// An admin's.
    pub fn admin() -> Self {
        Self { name: "admin", names: vec![ADMIN], ..Self::worker() }
    }
}

impl Default for Forge {
    fn default() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }
}

impl Forge {
    /// Its own certificate, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Writes a certs folder.
    pub fn write(&self, folder: &Path, paper: &Paper) {
        let (uris, names): (Vec<&str>, Vec<&str>) =
            paper.names.iter().partition(|name| name.starts_with("urn:"));
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.subject_alt_names.extend(uris.into_iter().map(|uri| SanType::URI(uri.try_into().unwrap())));
        let now = OffsetDateTime::now_utc();
        params.not_before = now + Duration::days(paper.days.0);
        params.not_after = now + Duration::days(paper.days.1);
        params.distinguished_name.push(DnType::CommonName, paper.name);
        params.extended_key_usages.clone_from(&paper.usages);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("ca.crt"), &self.certificate).unwrap();
        fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
        let path = folder.join("tls.key");
        fs::write(&path, key.serialize_pem()).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}
