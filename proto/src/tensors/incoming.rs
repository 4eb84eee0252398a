//! Messages out of the frames of a body.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body as _;
use tonic::body::Body;
use tonic::codegen::tokio_stream::Stream;
use tonic::{Code, Status};

use super::{Message, PREFIX};
use crate::settings::MESSAGE_LIMIT;

/// The other side's messages.
pub struct Incoming<M> {
    body: Body,
    frames: Frames,
    /// Of the message that comes next, once its header is here.
    len: Option<usize>,
    message: PhantomData<fn() -> M>,
}

impl<M> fmt::Debug for Incoming<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming({} bytes wait)", self.frames.len)
    }
}

impl<M: Message> Incoming<M> {
    /// Out of the body of a request or an answer.
    pub fn new(body: Body) -> Self {
        Self { body, frames: Frames::default(), len: None, message: PhantomData }
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or what came is not a message.
    pub async fn message(&mut self) -> Result<Option<M>, Status> {
        std::future::poll_fn(|context| self.poll_message(context)).await
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<M>, Status>> {
        loop {
            if let Some(message) = self.take()? {
                return Poll::Ready(Ok(Some(message)));
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(frame) => frame?,
                None if self.frames.len == 0 && self.len.is_none() => return Poll::Ready(Ok(None)),
                None => return Poll::Ready(Err(Status::internal("the stream ends within a message"))),
            };
            match frame.into_data() {
                Ok(data) => self.frames.push(data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return Poll::Ready(match Status::from_header_map(&trailers) {
                        Some(status) if status.code() != Code::Ok => Err(status),
                        _ => Ok(None),
                    });
                }
            }
        }
    }

    /// The next message, if all of it is here.
    fn take(&mut self) -> Result<Option<M>, Status> {
        let len = match self.len {
            Some(len) => len,
            None if self.frames.len < PREFIX => return Ok(None),
            None => {
                if self.frames.get_u8() != 0 {
                    return Err(Status::unimplemented("messages are not compressed here"));
                }
                let len = self.frames.get_u32() as usize;
                if len > MESSAGE_LIMIT {
                    return Err(Status::out_of_range(format!(
                        "a message of {len} bytes, and the limit is {MESSAGE_LIMIT}"
                    )));
                }
                *self.len.insert(len)
            }
        };
        if self.frames.len < len {
            return Ok(None);
        }
        self.len = None;
        let rest = self.frames.len - len;
        let message = M::decode((&mut self.frames).take(len))
            .map_err(|error| Status::internal(format!("not a message: {error}")))?;
        debug_assert_eq!(self.frames.len, rest, "a message is read to its end");
        Ok(Some(message))
    }
}

impl<M: Message> Stream for Incoming<M> {
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(context).map(Result::transpose)
    }
}

/// Bytes as they came, in the buffers into which they were read.
#[derive(Debug, Default)]
struct Frames {
    /// None is empty.
    frames: VecDeque<Bytes>,
    len: usize,
}

impl Frames {
    fn push(&mut self, frame: Bytes) {
        if !frame.is_empty() {
            self.len += frame.len();
            self.frames.push_back(frame);
        }
    }
}

impl Buf for Frames {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.frames.front().map_or(&[], |frame| frame)
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let Some(front) = self.frames.front_mut() else { return };
            let here = front.len().min(count);
            front.advance(here);
            (count, self.len) = (count - here, self.len - here);
            if front.is_empty() {
                self.frames.pop_front();
            }
        }
    }

    /// Without a copy if they came in one frame.
    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        if let Some(front) = self.frames.front_mut().filter(|front| front.len() >= len) {
            let bytes = front.split_to(len);
            if front.is_empty() {
                self.frames.pop_front();
            }
            self.len -= len;
            return bytes;
        }
        let mut bytes = BytesMut::with_capacity(len);
        while bytes.len() < len && self.len > 0 {
            let here = self.chunk().len().min(len - bytes.len());
            bytes.extend_from_slice(&self.chunk()[..here]);
            self.advance(here);
        }
        bytes.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::super::outgoing::frames;
    use super::*;
    use crate::wire::{Gradient, Node, Release, TensorsUp, tensors_up};

    fn messages() -> Vec<TensorsUp> {
        let gradient = |payload: &'static [u8]| {
            let node = Some(Node { level: 3, position: 500 });
            let payload = Bytes::from_static(payload);
            Gradient {
                generation: 1 << 40,
                step: 300,
                node,
                chunk: 7,
                loss: 0.5,
                weight: 3.0,
                rows: 3,
                payload,
            }
        };
        let messages = [
            tensors_up::Message::Gradient(gradient(&[7; 1000])),
            tensors_up::Message::Release(Release { step: 1 << 33 }),
            tensors_up::Message::Gradient(gradient(&[])),
            tensors_up::Message::Gradient(gradient(&[9; 3])),
        ];
        messages.map(|message| TensorsUp { message: Some(message) }).into()
    }

    fn receive(pieces: impl IntoIterator<Item = Bytes>) -> Result<Vec<TensorsUp>, Status> {
        let mut incoming = Incoming::<TensorsUp>::new(Body::empty());
        let mut received = Vec::new();
        for piece in pieces {
            incoming.frames.push(piece);
            while let Some(message) = incoming.take()? {
                received.push(message);
            }
        }
        assert!(incoming.frames.len == 0 && incoming.len.is_none());
        Ok(received)
    }

    #[test]
    fn the_bytes_are_those_of_prost() {
        for message in messages() {
            let (header, payload) = frames(message.clone());
            let sent = [header, payload.unwrap_or_default()].concat();
            let expected = prost::Message::encode_to_vec(&message);
            assert_eq!(sent[PREFIX..], expected);
            assert_eq!(sent[..PREFIX], [&[0][..], &(expected.len() as u32).to_be_bytes()].concat());
        }
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let sent: Vec<Bytes> = messages()
            .into_iter()
            .map(frames)
            .flat_map(|(header, payload)| [Some(header), payload])
            .flatten()
            .collect();
        assert_eq!(receive(sent.clone()).unwrap(), messages());
        let all = Bytes::from(sent.concat());
        for size in [1, 2, 7, 100, 5000] {
            let pieces = (0..all.len()).step_by(size).map(|at| all.slice(at..(at + size).min(all.len())));
            assert_eq!(receive(pieces).unwrap(), messages(), "in pieces of {size}");
        }
    }

    #[test]
    fn a_payload_that_comes_in_one_frame_is_not_copied() {
        let message = messages().remove(0);
        let (header, payload) = frames(message);
        let payload = payload.unwrap();
        let place = payload.as_ptr();
        let received = receive([header, payload]).unwrap().remove(0);
        let Some(tensors_up::Message::Gradient(gradient)) = received.message else { panic!("a gradient") };
        assert_eq!(gradient.payload.as_ptr(), place);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let refused = |bytes: &'static [u8]| receive([Bytes::from_static(bytes)]).unwrap_err().code();
        assert_eq!(refused(&[1, 0, 0, 0, 0]), Code::Unimplemented);
        assert_eq!(refused(&[0, 255, 255, 255, 255]), Code::OutOfRange);
        assert_eq!(refused(&[0, 0, 0, 0, 2, 0xff, 0xff]), Code::Internal);
    }
}
