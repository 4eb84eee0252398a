//! What is said between TLS and HTTP/2: a proof, an answer.

pub use super::token::{NO_PROOF, PROOF};

/// The protocol's name in TLS (ALPN): another version of what is said here has another name.
pub const ALPN: &[u8] = b"lockstep/1";

/// The first byte of TLS, from whoever opens a connection.
pub const TLS_HANDSHAKE: u8 = 0x16;

/// The first byte of an answer that is an alert of TLS.
pub const TLS_ALERT: u8 = 0x15;

/// To somebody who speaks plain text to a port of TLS: the fatal alert `protocol_version`.
pub const SPEAK_TLS: [u8; 7] = [TLS_ALERT, 3, 3, 0, 2, 2, 70];

/// The first byte of HTTP/2, from whoever opens a connection.
pub const PLAIN_HTTP: u8 = b'P';

/// To somebody who speaks TLS to a port of plain text: empty settings of HTTP/2.
pub const SPEAK_PLAIN: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// What the coordinator says to a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Answer {
    /// HTTP/2 may begin.
    Enter = 1,
    /// The run has a token, and there was no proof of it.
    NoToken = 2,
    /// The proof is of another token, or of another connection.
    WrongToken = 3,
}

impl Answer {
    /// As it travels; `None`: this version has no such answer.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Enter),
            2 => Some(Self::NoToken),
            3 => Some(Self::WrongToken),
            _ => None,
        }
    }
}
