//! The join token: whoever has it may work in the run.
//!
//! It never travels. A worker sends HMAC-SHA256(token, exporter), where the exporter (RFC 8446, section
//! 7.5) is a secret that both ends of one TLS connection have, and no other connection has. So a proof
//! that was recorded is of no use on another connection, and a stranger in the middle, who has two
//! connections, cannot pass one on.

use std::fmt;
use std::path::Path;

use ring::hmac::{self, HMAC_SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::ConnectionCommon;

use super::files::{FileError, private};
use super::fingerprint::from_hex;

/// What a worker sends: an HMAC.
pub const PROOF: usize = 32;

/// Sent by a worker that has no token.
pub const NO_PROOF: [u8; PROOF] = [0; PROOF];

const LABEL: &[u8] = b"EXPORTER-lockstep-join";
const CONTEXT: &[u8] = b"lockstep join 1";

/// 256 random bits.
#[derive(Clone)]
pub struct Token(hmac::Key);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

impl Token {
    /// A new token as text, for a file.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn random() -> Result<String, String> {
        let mut bytes = [0u8; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| "the system gives no random bytes".to_owned())?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Out of a text: 64 hexadecimal digits. An error never repeats them.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = from_hex(text.trim()).ok_or_else(|| {
            "is no join token: 64 hexadecimal digits, as `openssl rand -hex 32` makes them".to_owned()
        })?;
        Ok(Self(hmac::Key::new(HMAC_SHA256, &bytes)))
    }

    /// Out of a file that not everybody may read.
    ///
    /// # Errors
    /// It cannot be read, everybody can, or it holds something else.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = private(path)?;
        Self::parse(&String::from_utf8_lossy(&text)).map_err(|why| FileError::new(path, why))
    }

    /// That this end of the connection has the token.
    ///
    /// # Errors
    /// The handshake is not over.
    pub fn proof<D>(&self, connection: &ConnectionCommon<D>) -> Result<[u8; PROOF], rustls::Error> {
        let tag = hmac::sign(&self.0, &message(connection)?);
        let mut proof = [0; PROOF];
        proof.copy_from_slice(tag.as_ref());
        Ok(proof)
    }

    /// Whether the other end has it too; takes as long for any other proof.
    pub fn proves<D>(&self, connection: &ConnectionCommon<D>, proof: &[u8; PROOF]) -> bool {
        message(connection).is_ok_and(|message| hmac::verify(&self.0, &message, proof).is_ok())
    }
}

fn message<D>(connection: &ConnectionCommon<D>) -> Result<Vec<u8>, rustls::Error> {
    let exported = connection.export_keying_material([0; 32], LABEL, None)?;
    Ok([CONTEXT, &exported].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_random_and_never_shown() {
        let (one, two) = (Token::random().unwrap(), Token::random().unwrap());
        assert!(one != two && one.len() == 64);
        assert_eq!(format!("{:?}", Token::parse(&format!("{one}\n")).unwrap()), "Token(secret)");
        for bad in [&one[..63], &format!("{one}0"), "", &one.replace(|c: char| c.is_ascii_digit(), "x")] {
            let why = Token::parse(bad).unwrap_err();
            assert!(bad.is_empty() || !why.contains(bad), "{why}");
        }
    }
}
