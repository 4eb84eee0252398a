//! Fingerprints of certificates, as openssl prints them.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};

/// SHA-256 of a certificate's DER.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a certificate's DER.
    pub fn of(der: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, der).as_ref());
        Self(bytes)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// 64 hexadecimal digits of either case, colons between them or not, `sha256:` before them or not, or
    /// the whole line that openssl prints: `sha256 Fingerprint=AB:CD:…`.
    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        // What is before it names the digest; others have as many digits.
        let bare = match lower.split_once('=') {
            Some(("sha256 fingerprint", bare)) => bare,
            Some(_) => "",
            None => lower.as_str(),
        };
        let digits = bare.strip_prefix("sha256:").unwrap_or(bare).replace(':', "");
        match from_hex(&digits) {
            Some(bytes) => Ok(Self(bytes)),
            None => Err(format!(
                "{text:?} is no fingerprint: sha256: and 64 hexadecimal digits, as the coordinator prints it \
                 (or openssl x509 -noout -fingerprint -sha256 -in ca.crt)"
            )),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Exactly 64 digits.
pub(super) fn from_hex(digits: &str) -> Option<[u8; 32]> {
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| pair.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_they_are_printed_here_and_by_openssl() {
        let fingerprint = Fingerprint::of(b"a certificate");
        let text = fingerprint.to_string();
        assert_eq!(text.len(), 7 + 64);
        assert_eq!(text.parse(), Ok(fingerprint));
        let pairs: Vec<&str> =
            text.as_bytes()[7..].chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
        let pairs = pairs.join(":").to_ascii_uppercase();
        assert_eq!(pairs.parse(), Ok(fingerprint));
        // openssl 3, and those before it.
        for name in ["sha256", "SHA256"] {
            assert_eq!(format!("{name} Fingerprint={pairs}\n").parse(), Ok(fingerprint));
        }
        let other = format!("SHA3-256 Fingerprint={pairs}");
        assert!(other.parse::<Fingerprint>().is_err(), "as long, of another digest");
        let sha1 = format!("sha1 Fingerprint={}", &pairs[..59]);
        for bad in
            ["", "sha256:", &text[..70], &format!("{text}0"), &text.replace('a', "g"), "sha1:00", &sha1]
        {
            assert!(bad == text || bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
