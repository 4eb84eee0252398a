//! Which coordinators are believed.

use std::sync::Arc;

use lockstep_proto::tls::{Certificate, Fingerprint, authorities};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

/// A certificate by an authority that is known, for the host's name.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) chain: Arc<WebPkiServerVerifier>,
    pub(super) provider: Arc<CryptoProvider>,
}

/// A certificate by the authority that has this fingerprint; it may be for any name.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) authority: Fingerprint,
    pub(super) provider: Arc<CryptoProvider>,
}

/// The authority is another one than the fingerprint says.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the fingerprint of its authority is {0}")]
pub(super) struct OtherAuthority(pub(super) Fingerprint);

/// Usages must be named: a worker's certificate is not good for a coordinator.
fn check_role(end_entity: &CertificateDer<'_>) -> Result<(), Error> {
    let certificate = Certificate::parse(end_entity).map_err(|_| CertificateError::BadEncoding)?;
    if certificate.coordinator { Ok(()) } else { Err(CertificateError::InvalidPurpose.into()) }
}

impl Named {
    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.chain.verify_server_cert(end_entity, intermediates, name, &[], now)?;
        check_role(end_entity).map(|()| verified)
    }
}

impl Pinned {
    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let root = intermediates.iter().find(|one| Fingerprint::of(one) == self.authority);
        let Some(root) = root else {
            let last = intermediates.last().unwrap_or(end_entity);
            let other = OtherAuthority(Fingerprint::of(last));
            return Err(CertificateError::Other(OtherError(Arc::new(other))).into());
        };
        let roots = authorities(&[root.clone().into_owned()]).map_err(|_| CertificateError::BadEncoding)?;
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, intermediates, now, algorithms)?;
        check_role(end_entity).map(|()| ServerCertVerified::assertion())
    }
}

macro_rules! verifier {
    ($of:ty) => {
        impl ServerCertVerifier for $of {
            fn verify_server_cert(
                &self,
                end_entity: &CertificateDer<'_>,
                intermediates: &[CertificateDer<'_>],
                name: &ServerName<'_>,
                _: &[u8],
                now: UnixTime,
            ) -> Result<ServerCertVerified, Error> {
                self.check(end_entity, intermediates, name, now)
            }

            fn verify_tls12_signature(
                &self,
                _: &[u8],
                _: &CertificateDer<'_>,
                _: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                Err(Error::General("TLS 1.2 is not offered".into()))
            }

            fn verify_tls13_signature(
                &self,
                message: &[u8],
                certificate: &CertificateDer<'_>,
                signature: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                let algorithms = &self.provider.signature_verification_algorithms;
                verify_tls13_signature(message, certificate, signature, algorithms)
            }

            fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
                self.provider.signature_verification_algorithms.supported_schemes()
            }
        }
    };
}
verifier!(Named);
verifier!(Pinned);
