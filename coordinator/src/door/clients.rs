//! Whose certificates are taken: a worker's or an admin's, by an authority that is known, and not revoked.

use std::sync::Arc;

use lockstep_proto::tls::{Certificate, Fingerprint};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::living::Living;

/// rustls' own verifier, and two questions more.
#[derive(Debug)]
pub(super) struct Known {
    /// Chain, signatures and dates.
    pub(super) chain: Arc<dyn ClientCertVerifier>,
    pub(super) living: Arc<Living>,
}

impl ClientCertVerifier for Known {
    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        let certificate = Certificate::parse(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if !certificate.worker && !certificate.admin {
            return Err(CertificateError::InvalidPurpose.into());
        }
        let all = std::iter::once(end_entity).chain(intermediates);
        if all.map(|certificate| Fingerprint::of(certificate)).any(|one| self.living.is_revoked(one)) {
            return Err(CertificateError::Revoked.into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
