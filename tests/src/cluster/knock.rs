//! Knocking at the coordinator's door by hand: TLS as a worker speaks it, and whatever it should not say.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use lockstep_proto::tls::{Identity, Token, door, shared_provider};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Believes everybody.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        shared_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// TLS of this version to the coordinator, with the certificate of a folder or without.
///
/// # Errors
/// The handshake fails.
pub async fn tls(
    address: SocketAddr,
    certs: Option<&Path>,
    version: &'static rustls::SupportedProtocolVersion,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    // Those of TLS 1.2 have suites of their own.
    let older = version.version == rustls::ProtocolVersion::TLSv1_2;
    let provider = if older { Arc::new(rustls::crypto::ring::default_provider()) } else { shared_provider() };
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Trusting));
    let mut config = match certs {
        Some(folder) => {
            let (chain, key) = Identity::read(folder).unwrap().into_parts();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// The proof of a token on a connection.
pub fn proof(stream: &TlsStream<TcpStream>, token: &str) -> [u8; door::PROOF] {
    Token::parse(token).unwrap().proof(stream.get_ref().1).unwrap()
}

/// Sends a proof; returns the door's answer.
///
/// # Errors
/// It answers otherwise, as with an alert.
pub async fn answer(stream: &mut TlsStream<TcpStream>, proof: &[u8]) -> std::io::Result<u8> {
    stream.write_all(proof).await?;
    stream.flush().await?;
    stream.read_u8().await
}

/// A coordinator that shows the certificate of a folder and believes everybody, on a port of its own, for as
/// long as the runtime lives.
pub async fn pretend(certs: &Path) -> SocketAddr {
    let (chain, key) = Identity::read(certs).unwrap().into_parts();
    let builder = ServerConfig::builder_with_provider(shared_provider());
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![door::ALPN.to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut proof = [0; door::PROOF];
                    let _ = stream.read_exact(&mut proof).await;
                    let _ = stream.write_all(&[door::Answer::Enter as u8]).await;
                    let _ = stream.flush().await;
                }
            });
        }
    });
    address
}
