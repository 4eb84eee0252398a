//! What rustls needs to know of a worker's trust; read from its files for each connection, so that new
//! certificates are taken up.

use std::path::Path;
use std::sync::Arc;

use lockstep_proto::tls::{Certificate, FileError, Identity, Token, authorities, door, shared_provider};
use rustls::client::{Resumption, WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier};

use super::servers::{Named, Pinned};
use super::{Trouble, Trust};

#[derive(Debug)]
pub(super) struct Config {
    pub(super) tls: ClientConfig,
    pub(super) token: Option<Token>,
    /// This side's certificate.
    pub(super) own: Option<Certificate>,
}

impl Config {
    /// `None`: plain text.
    pub(super) fn read(trust: &Trust) -> Result<Option<Self>, Trouble> {
        let provider = shared_provider();
        let (mut tls, token, own) = match trust {
            Trust::Plain { .. } => return Ok(None),
            Trust::Certificates { folder, token } => {
                let (tls, own) =
                    certified(folder, provider).map_err(|error| Trouble::Usage(error.to_string()))?;
                (tls, token.clone(), Some(own))
            }
            Trust::Pinned { authority, token, folder } => {
                let verifier = Pinned { authority: *authority, provider: provider.clone() };
                let builder = builder(provider).map_err(Trouble::Usage)?;
                let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
                let (tls, own) = match folder {
                    None => (builder.with_no_client_auth(), None),
                    Some(folder) => {
                        let shown = identity(folder).and_then(|identity| shown(builder, folder, identity));
                        let (tls, own) = shown.map_err(|error| Trouble::Usage(error.to_string()))?;
                        (tls, Some(own))
                    }
                };
                (tls, Some(token.clone()), own)
            }
        };
        tls.alpn_protocols = vec![door::ALPN.to_vec()];
        tls.resumption = Resumption::disabled();
        Ok(Some(Self { tls, token, own }))
    }
}

fn builder(provider: Arc<CryptoProvider>) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, String> {
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())
}

fn certified(folder: &Path, provider: Arc<CryptoProvider>) -> Result<(ClientConfig, Certificate), FileError> {
    let [ca, crt] = ["ca.crt", "tls.crt"].map(|name| folder.join(name));
    let identity = identity(folder)?;
    let roots = authorities(&identity.authorities).map_err(|why| FileError::new(&ca, why))?;
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let chain = chain.map_err(|error| FileError::new(&ca, error))?;
    let builder = builder(provider.clone()).map_err(|why| FileError::new(&crt, why))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Named { chain, provider }));
    shown(builder, folder, identity)
}

/// A worker's or an admin's.
fn identity(folder: &Path) -> Result<Identity, FileError> {
    let identity = Identity::read(folder)?;
    if identity.own.worker || identity.own.admin {
        return Ok(identity);
    }
    let why = "is not a worker's certificate: it does not name the extended key usage clientAuth; \
               `lockstep certs worker NAME` makes one, cert-manager with usages: [client auth]";
    Err(FileError::new(&folder.join("tls.crt"), why))
}

/// A side that shows its certificate.
fn shown(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    folder: &Path,
    identity: Identity,
) -> Result<(ClientConfig, Certificate), FileError> {
    let own = identity.own.clone();
    let (certificates, key) = identity.into_parts();
    let tls = builder
        .with_client_auth_cert(certificates, key)
        .map_err(|error| FileError::new(&folder.join("tls.key"), format!("does not fit tls.crt: {error}")))?;
    Ok((tls, own))
}
