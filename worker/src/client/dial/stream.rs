//! Bytes to and from the coordinator.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use lockstep_proto::tls::door;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::Trouble;

/// What a stream has seen that HTTP/2 has no word for.
pub(crate) type Seen = Arc<OnceLock<Trouble>>;

/// A connection that may begin with HTTP/2.
#[derive(Debug)]
pub(crate) struct Stream {
    inner: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    /// Of plain text, until the first byte has come: it may be one of TLS.
    first: Option<Seen>,
}

impl Stream {
    pub(super) fn plain(stream: TcpStream, seen: Seen) -> Self {
        Self { inner: Either::Left(stream), first: Some(seen) }
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self { inner: Either::Right(Box::new(stream)), first: None }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        if let Some(byte) = buffer.filled().get(before)
            && let Some(seen) = self.first.take()
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
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
