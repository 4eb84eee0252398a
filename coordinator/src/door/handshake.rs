//! One connection, from the first byte to a place inside.

use std::net::SocketAddr;
use std::time::Duration;

use lockstep_proto::tls::{Certificate, Fingerprint, door};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::{Connection, Peer, Stream};
use super::keeper::Keeper;
use super::refusal::Refusal;
use super::{Door, Who};

/// From connecting to being let in.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// How long the last words to somebody who is not let in may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Lets it in, or says why not.
pub(super) async fn admit(door: &Door, stream: TcpStream, from: SocketAddr) -> Result<Connection, Refusal> {
    // A connection that cannot be set up so is slower, and good.
    let _ = stream.set_nodelay(true);
    let entered = timeout(DEADLINE, enter(door, stream)).await.unwrap_or(Err(Refusal::Slow))?;
    let Entered { stream, who, end } = entered;
    Ok(Connection { stream, peer: Peer { address: from, who }, end, slot: None })
}

struct Entered {
    stream: Stream,
    who: Who,
    /// Resolves if its certificate is revoked.
    end: Option<oneshot::Receiver<()>>,
}

async fn enter(door: &Door, stream: TcpStream) -> Result<Entered, Refusal> {
    let mut first = [0];
    match (stream.peek(&mut first).await, &door.keeper, first[0]) {
        (Ok(1..), None, door::PLAIN_HTTP) => {
            Ok(Entered { stream: Stream::Left(stream), who: door.plain.clone(), end: None })
        }
        (Ok(1..), None, door::TLS_HANDSHAKE) => {
            part(stream, &door::SPEAK_PLAIN).await;
            Err(Refusal::Tls)
        }
        (Ok(1..), Some(keeper), door::TLS_HANDSHAKE) => over_tls(keeper, stream).await,
        (Ok(1..), Some(_), door::PLAIN_HTTP) => {
            part(stream, &door::SPEAK_TLS).await;
            Err(Refusal::PlainText)
        }
        (Ok(1..), ..) => Err(Refusal::Noise),
        _ => Err(Refusal::Broken),
    }
}

async fn over_tls(keeper: &Keeper, stream: TcpStream) -> Result<Entered, Refusal> {
    let accepted = TlsAcceptor::from(keeper.config()).accept(stream).into_fallible().await;
    let mut stream = match accepted {
        Ok(stream) => stream,
        Err((error, stream)) => {
            // The alert is on its way.
            part(stream, &[]).await;
            return Err(Refusal::of(&error));
        }
    };
    let (_, connection) = stream.get_ref();
    if connection.alpn_protocol() != Some(door::ALPN) {
        return Err(Refusal::Version);
    }
    let certificates = connection.peer_certificates().unwrap_or_default();
    let who = match certificates.first().map(|own| Certificate::parse(own)) {
        None => Who::Bearer,
        Some(Ok(own)) => Who::certified(&own),
        Some(Err(_)) => return Err(Refusal::BadCertificate),
    };
    let certificates: Vec<_> = certificates.iter().map(|certificate| Fingerprint::of(certificate)).collect();
    let mut proof = door::NO_PROOF;
    stream.read_exact(&mut proof).await.map_err(|error| Refusal::of(&error))?;
    let (answer, refusal) = answer(keeper, &stream, &proof);
    let said = stream.write_all(&[answer as u8]).await;
    if let Some(refusal) = refusal {
        part(stream, &[]).await;
        return Err(refusal);
    }
    said.map_err(|error| Refusal::of(&error))?;
    stream.flush().await.map_err(|error| Refusal::of(&error))?;
    let end = if certificates.is_empty() {
        None
    } else {
        Some(keeper.living.enter(certificates).ok_or(Refusal::Revoked)?)
    };
    Ok(Entered { stream: Stream::Right(Box::new(stream)), who, end })
}

fn answer(
    keeper: &Keeper,
    stream: &TlsStream<TcpStream>,
    proof: &[u8; door::PROOF],
) -> (door::Answer, Option<Refusal>) {
    use door::Answer;
    match &keeper.token {
        None => (Answer::Enter, None),
        Some(token) if token.proves(stream.get_ref().1, proof) => (Answer::Enter, None),
        Some(_) if *proof == door::NO_PROOF => (Answer::NoToken, Some(Refusal::NoToken)),
        Some(_) => (Answer::WrongToken, Some(Refusal::WrongToken)),
    }
}

/// Says a last word and waits until the other side has closed: a socket that is closed with unread bytes
/// would take the word back.
async fn part(mut stream: impl AsyncRead + tokio::io::AsyncWrite + Unpin, word: &[u8]) {
    let farewell = async {
        stream.write_all(word).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // Whether it was heard changes nothing.
    let _ = timeout(LAST_WORDS, farewell).await;
}
