//! Bytes to and from the coordinator.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use lockstep_proto::tls::door;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::Trouble;

/// What a stream has seen that HTTP/2 has no word for.
pub(crate) type Seen = Arc<OnceLock<Trouble>>;

/// A connection that may begin with HTTP/2.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Until the first byte has come, it may be one of TLS.
    Plain(TcpStream, Option<Seen>),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn plain(stream: TcpStream, seen: Seen) -> Self {
        Self::Plain(stream, Some(seen))
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(stream))
    }
}

macro_rules! either {
    ($of:expr, $stream:ident => $does:expr) => {
        match &mut *$of {
            Stream::Plain($stream, _) => {
                let $stream = Pin::new($stream);
                $does
            }
            Stream::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $does
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(either!(self, stream => stream.poll_read(context, buffer)))?;
        if let Self::Plain(_, first) = &mut *self
            && let Some(byte) = buffer.filled().get(before)
            && let Some(seen) = first.take()
            && *byte == door::TLS_ALERT
        {
            let trouble = seen.get_or_init(Trouble::speaks_tls);
            return Poll::Ready(Err(io::Error::other(trouble.clone())));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(context))
    }
}
