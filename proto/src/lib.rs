//! The wire contract: plain messages for the machines, generated types for the wire, and the
//! conversions between them.
//!
//! [`message`] is what coordinator and worker speak in; the generated types and everything of tonic
//! stay in [`wire`] and in the thin service and client modules.

mod convert;
mod ids;
pub mod message;
mod payloads;
pub mod settings;
pub mod tensors;
pub mod tls;
/// Generated from `proto/lockstep/v1/cluster.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod wire {
    tonic::include_proto!("lockstep.v1");
}

pub use convert::Malformed;
pub use ids::{Generation, Session};
pub use payloads::Payloads;

/// The version of the contract; equal on both sides, checked at the door.
pub const PROTOCOL: u32 = 3;
