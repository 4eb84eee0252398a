//! What both ends of a protected connection agree on: TLS 1.3 by ring, certificates, the join token.
//!
//! ```text
//! worker                                          coordinator
//!   TCP ─────────────────────────────────────────▶
//!   TLS 1.3 (certificates, as each side demands) ◀▶
//!   proof: 32 bytes ─────────────────────────────▶   is the token known there?
//!   ◀────────────────────────────────── answer: 1 byte
//!   HTTP/2 from here on ◀────────────────────────▶
//! ```
//!
//! Proof and answer ([`door`]) stand before HTTP/2, so nobody who is not let in reaches its parser, and
//! a worker learns in one place why it is not.

mod certificate;
pub mod door;
mod files;
mod fingerprint;
mod token;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

pub use certificate::{ADMIN, Certificate};
pub use files::{FileError, Identity, authorities, private};
pub use fingerprint::Fingerprint;
pub use token::Token;

/// The one provider of the process: ring's algorithms. AES with keys of 128 bits is named first: it is
/// the fastest, and every processor of the last decade has instructions for it.
pub fn provider() -> CryptoProvider {
    use ring::cipher_suite::{
        TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
    };
    let cipher_suites =
        vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];
    CryptoProvider { cipher_suites, ..ring::default_provider() }
}

/// The same, shared.
pub fn shared_provider() -> Arc<CryptoProvider> {
    Arc::new(provider())
}
