//! A connection to the coordinator, up to the first byte of HTTP/2: TCP, TLS, the door.

mod config;
mod servers;
mod stream;
mod trouble;

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use lockstep_proto::tls::door::{self, Answer};
use lockstep_proto::tls::{Fingerprint, Token};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;

use config::Config;
pub(crate) use stream::{Seen, Stream};
pub use trouble::Trouble;

/// By what a worker knows its coordinator, and shows who it is.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Plain text: whoever is there.
    Plain {
        /// Also across a network; without, only within this machine.
        anywhere: bool,
    },
    /// Certificates of both sides.
    Certificates {
        /// With ca.crt, tls.crt and tls.key.
        folder: PathBuf,
        /// Of the run, if it has one.
        token: Option<Token>,
    },
    /// The fingerprint of the coordinator's authority, and the run's token.
    Pinned {
        /// Of the authority's certificate, which the coordinator sends.
        authority: Fingerprint,
        /// Of the run.
        token: Token,
        /// With tls.crt and tls.key to show besides: an admin's.
        folder: Option<PathBuf>,
    },
}

/// One address to connect to.
const CONNECT: Duration = Duration::from_secs(5);

/// From the first byte of TLS to the answer of the door.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// What tonic calls for a connection, and calls again when it broke.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    /// `host:port`
    pub(crate) coordinator: String,
    pub(crate) trust: Trust,
    /// What the streams have seen that HTTP/2 has no word for.
    pub(crate) seen: Seen,
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Stream>;
    type Error = Trouble;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Trouble>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { dialer.dial().await.map(TokioIo::new) })
    }
}

impl Dialer {
    async fn dial(&self) -> Result<Stream, Trouble> {
        let config = Config::read(&self.trust)?;
        let stream = self.connect().await?;
        // It would only be slower.
        let _ = stream.set_nodelay(true);
        let Some(config) = config else { return Ok(Stream::plain(stream, self.seen.clone())) };
        let entered = timeout(HANDSHAKE, self.enter(&config, stream)).await;
        entered.unwrap_or_else(|_| {
            Err(Trouble::Passing("it does not answer within a TLS handshake's time".into()))
        })
    }

    async fn connect(&self) -> Result<TcpStream, Trouble> {
        let passing = |error: io::Error| Trouble::Passing(error.to_string());
        let addresses = tokio::net::lookup_host(&self.coordinator).await.map_err(passing)?;
        let mut last = Trouble::Passing("the name has no address".into());
        for address in addresses {
            if matches!(self.trust, Trust::Plain { anywhere: false }) && !address.ip().is_loopback() {
                return Err(Trouble::unprotected(address));
            }
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = passing(error),
                Err(_) => last = Trouble::Passing("nobody answers".into()),
            }
        }
        Err(last)
    }

    async fn enter(&self, config: &Config, stream: TcpStream) -> Result<Stream, Trouble> {
        let host = host(&self.coordinator);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Trouble::Usage(format!("{host:?} is neither a host's name nor an address")))?;
        let explain = |error: &io::Error| trouble::explain(error, config, host);
        let connector = TlsConnector::from(Arc::new(config.tls.clone()));
        let mut stream = connector.connect(name, stream).await.map_err(|error| explain(&error))?;
        let connection = stream.get_ref().1;
        if connection.alpn_protocol() != Some(door::ALPN) {
            return Err(Trouble::other_service());
        }
        let proof = match &config.token {
            Some(token) => token.proof(connection).map_err(|error| Trouble::Passing(error.to_string()))?,
            None => door::NO_PROOF,
        };
        let mut answer = [0];
        let said = async {
            stream.write_all(&proof).await?;
            stream.flush().await?;
            stream.read_exact(&mut answer).await
        };
        // A refused certificate is known only now: TLS 1.3 lets a client begin before it is checked.
        said.await.map_err(|error| explain(&error))?;
        match Answer::from_byte(answer[0]) {
            Some(Answer::Enter) => Ok(Stream::tls(stream)),
            Some(Answer::NoToken) => Err(trouble::no_token()),
            Some(Answer::WrongToken) => Err(trouble::wrong_token()),
            None => Err(Trouble::other_service()),
        }
    }
}

/// Of `host:port`; an address of IPv6 stands in brackets.
fn host(coordinator: &str) -> &str {
    let host = coordinator.rsplit_once(':').map_or(coordinator, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn a_host_is_what_stands_before_its_port() {
        assert_eq!(host("node-1.cluster:29500"), "node-1.cluster");
        assert_eq!(host("10.0.0.1:29500"), "10.0.0.1");
        assert_eq!(host("[fe80::1]:29500"), "fe80::1");
    }
}
