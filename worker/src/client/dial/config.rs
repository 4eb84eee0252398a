//! What rustls needs to know of a worker's trust; read from its files for each connection, so that new
//! certificates are taken up.

use std::path::Path;
use std::sync::Arc;

use lockstep_proto::tls::{Certificate, FileError, Identity, Token, authorities, door, shared_provider};
use rustls::ClientConfig;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;

use super::servers::{Named, Pinned};
use super::{Trouble, Trust};

#[derive(Debug)]
pub(super) struct Config {
    pub(super) tls: ClientConfig,
    pub(super) token: Option<Token>,
    /// The worker's certificate.
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
            Trust::Pinned { authority, token } => {
                let verifier = Pinned { authority: *authority, provider: provider.clone() };
                let builder = builder(provider).map_err(Trouble::Usage)?;
                let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
                (builder.with_no_client_auth(), Some(token.clone()), None)
            }
        };
        tls.alpn_protocols = vec![door::ALPN.to_vec()];
        tls.resumption = Resumption::disabled();
        Ok(Some(Self { tls, token, own }))
    }
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;

fn builder(provider: Arc<CryptoProvider>) -> Result<Builder, String> {
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())
}

fn certified(folder: &Path, provider: Arc<CryptoProvider>) -> Result<(ClientConfig, Certificate), FileError> {
    let [ca, crt, key] = ["ca.crt", "tls.crt", "tls.key"].map(|name| folder.join(name));
    let identity = Identity::read(folder)?;
    let own = identity.own.clone();
    if !own.worker {
        let why = "is not a worker's certificate: it does not name the extended key usage clientAuth; \
                   `lockstep certs worker NAME` makes one, cert-manager with usages: [client auth]";
        return Err(FileError::new(&crt, why));
    }
    let roots = authorities(&identity.authorities).map_err(|why| FileError::new(&ca, why))?;
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let chain = chain.map_err(|error| FileError::new(&ca, error))?;
    let builder = builder(provider.clone()).map_err(|why| FileError::new(&crt, why))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Named { chain, provider }));
    let (certificates, private) = identity.into_parts();
    let tls = builder.with_client_auth_cert(certificates, private);
    Ok((tls.map_err(|error| FileError::new(&key, format!("does not fit tls.crt: {error}")))?, own))
}
