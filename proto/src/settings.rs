//! Numbers of the transport that both sides set alike.
//!
//! None of them ever reaches a number of the run.

use std::time::Duration;

/// Most bytes of one message: a chunk of 1 MiB and its header. The decoder reserves what a message's
/// header announces, so this also bounds what a lying header can cost.
pub const MESSAGE_LIMIT: usize = (1 << 20) + (1 << 12);

/// The same for rows: a single wide row must fit.
pub const ROW_MESSAGE_LIMIT: usize = 64 << 20;

/// HTTP/2 frame size.
pub const FRAME: u32 = 1 << 20;

/// HTTP/2 window of a stream and of its connection: what a sender may have in flight. Measured on
/// loopback, larger windows than the protocol's 64 KiB double the throughput.
pub const WINDOW: u32 = 16 << 20;

/// Chunks of a node that may be sent before a grant.
pub const GRANT_WINDOW: u32 = 16;

/// Rows travel in parts of about this many bytes.
pub const ROWS_PART: usize = 1 << 20;

/// Pause between two HTTP/2 pings on a connection, and how long an answer may take.
pub const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(10));

/// Target of the spans that make a run's trace. They are never on the way of a chunk.
pub const TRACE: &str = "lockstep::trace";

/// The header by which a trace crosses from the coordinator to a worker, in the answer of a control stream.
/// Source: W3C's Trace Context.
pub const TRACEPARENT: &str = "traceparent";
