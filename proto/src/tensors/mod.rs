//! The tensor stream, without tonic's codec: the same bytes, and fewer copies.
//!
//! ```text
//! sent       header │ payload        two DATA frames; the payload is sent from where it lies
//! received   frame ─▶ payload        a part of the buffer into which the socket was read
//! ```
//!
//! tonic's codec gathers a message in a buffer of its own on either side. Here the fields before a
//! payload make a small frame, the payload the next one. Whoever speaks gRPC understands it; a message
//! that comes in other frames, as from tonic's codec, is gathered with a copy.

mod incoming;
mod outgoing;

use std::future::poll_fn;

use bytes::Bytes;
use tonic::Status;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::http::{Method, Request, Response, Version, header::CONTENT_TYPE};
use tonic::codegen::tokio_stream::Stream;

use crate::wire::{TensorsDown, TensorsUp, tensors_down, tensors_up};
pub use incoming::Incoming;
use outgoing::{Outgoing, Side};

/// Where the stream is served.
pub const PATH: &str = "/lockstep.v1.Cluster/Tensors";

const GRPC: &str = "application/grpc";

/// gRPC's own header: whether the message is compressed, and its length in big-endian.
const PREFIX: usize = 5;

/// A message of the stream.
pub trait Message: prost::Message + Default + Unpin + Send + 'static {
    /// Takes its payload out, if it has one: the message's field, and the payload's field within it,
    /// the last one.
    fn take_payload(&mut self) -> Option<(u8, u8, Bytes)>;

    /// The fields that stand before the payload, once it is taken out.
    fn encode_rest(&self) -> Vec<u8>;
}

impl Message for TensorsUp {
    fn take_payload(&mut self) -> Option<(u8, u8, Bytes)> {
        match &mut self.message {
            Some(tensors_up::Message::Gradient(gradient)) => {
                Some((2, 8, std::mem::take(&mut gradient.payload)))
            }
            _ => None,
        }
    }

    fn encode_rest(&self) -> Vec<u8> {
        match &self.message {
            Some(tensors_up::Message::Gradient(gradient)) => prost::Message::encode_to_vec(gradient),
            _ => Vec::new(),
        }
    }
}

impl Message for TensorsDown {
    fn take_payload(&mut self) -> Option<(u8, u8, Bytes)> {
        match &mut self.message {
            Some(tensors_down::Message::Weights(weights)) => {
                Some((1, 4, std::mem::take(&mut weights.payload)))
            }
            _ => None,
        }
    }

    fn encode_rest(&self) -> Vec<u8> {
        match &self.message {
            Some(tensors_down::Message::Weights(weights)) => prost::Message::encode_to_vec(weights),
            _ => Vec::new(),
        }
    }
}

/// Opens a worker's stream: `messages` go up.
///
/// # Errors
/// The connection broke, or the coordinator refuses.
pub async fn open<C>(
    connection: &mut C,
    messages: impl Stream<Item = TensorsUp> + Send + Unpin + 'static,
) -> Result<Incoming<TensorsDown>, Status>
where
    C: GrpcService<Body, ResponseBody = Body>,
{
    let broken = |error: C::Error| Status::from_error(error.into());
    poll_fn(|context| connection.poll_ready(context)).await.map_err(broken)?;
    let mut request = Request::new(Body::new(Outgoing::new(messages, Side::Worker)));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = tonic::codegen::http::Uri::from_static(PATH);
    let headers = request.headers_mut();
    headers.insert("te", tonic::codegen::http::HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, tonic::codegen::http::HeaderValue::from_static(GRPC));
    let response = connection.call(request).await.map_err(broken)?;
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != tonic::Code::Ok => Err(status),
        _ if !response.status().is_success() => {
            Err(Status::unknown(format!("the coordinator answers {}", response.status())))
        }
        _ => Ok(Incoming::new(response.into_body())),
    }
}

/// Answers a worker's stream: `messages` go down, then the stream ends.
pub fn answer(messages: impl Stream<Item = TensorsDown> + Send + Unpin + 'static) -> Response<Body> {
    let mut response = Response::new(Body::new(Outgoing::new(messages, Side::Coordinator)));
    let grpc = tonic::codegen::http::HeaderValue::from_static(GRPC);
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    response
}
