//! Messages as frames of a body.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame};
use tonic::Status;
use tonic::codegen::http::HeaderMap;
use tonic::codegen::tokio_stream::Stream;

use super::{Message, PREFIX};

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Worker,
    /// It says how the call ended.
    Coordinator,
}

/// A body of these messages.
#[derive(Debug)]
pub(super) struct Outgoing<S> {
    messages: S,
    side: Side,
    /// Follows the header that was sent last.
    payload: Option<Bytes>,
    ended: bool,
}

impl<S> Outgoing<S> {
    pub(super) const fn new(messages: S, side: Side) -> Self {
        Self { messages, side, payload: None, ended: false }
    }
}

impl<M: Message, S: Stream<Item = M> + Unpin> Body for Outgoing<S> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(payload) = self.payload.take() {
            return Poll::Ready(Some(Ok(Frame::data(payload))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.messages).poll_next(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(message)) => {
                let (header, payload) = frames(message);
                self.payload = payload;
                Poll::Ready(Some(Ok(Frame::data(header))))
            }
            Poll::Ready(None) => {
                self.ended = true;
                if self.side == Side::Worker {
                    return Poll::Ready(None);
                }
                let mut trailers = HeaderMap::new();
                Poll::Ready(Some(
                    Status::ok("").add_header(&mut trailers).map(|()| Frame::trailers(trailers)),
                ))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.payload.is_none()
    }
}

/// What stands before the payload, or the whole message; and the payload.
pub(super) fn frames<M: Message>(mut message: M) -> (Bytes, Option<Bytes>) {
    let Some((field, within, payload)) = message.take_payload().filter(|(.., payload)| !payload.is_empty())
    else {
        return (framed(|buffer| message.encode_raw(buffer), message.encoded_len()), None);
    };
    let mut rest = message.encode_rest();
    key_and_length(within, payload.len(), &mut rest);
    let mut start = Vec::new();
    key_and_length(field, rest.len() + payload.len(), &mut start);
    let len = start.len() + rest.len() + payload.len();
    let header = framed(
        |buffer| {
            buffer.put_slice(&start);
            buffer.put_slice(&rest);
        },
        len,
    );
    (header, Some(payload))
}

fn framed(write: impl FnOnce(&mut BytesMut), len: usize) -> Bytes {
    let mut buffer = BytesMut::with_capacity(PREFIX + 128);
    buffer.put_u8(0);
    buffer.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    write(&mut buffer);
    buffer.freeze()
}

/// The key of a field of bytes (numbers under 16 take one byte), and its length.
fn key_and_length(field: u8, len: usize, out: &mut Vec<u8>) {
    out.push(field << 3 | 2);
    let mut len = len;
    while len >= 0x80 {
        out.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
}
