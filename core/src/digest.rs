//! The digest of a run at a step: two runs with the same digest have the same bits.
//!
//! SHA-256 over the step and then, in parameter order, every tensor of the model (running statistics come
//! after all parameters) and every tensor of the optimizer: name, type, shape and data. All numbers are
//! u64, all is little-endian, and lengths come first. `tests/digest.py` computes it from the two files of
//! a checkpoint.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::tensors::View;
use crate::wire;

/// `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest after `step` steps; `tensors` are the model's, then the optimizer's.
    pub fn new<'a>(step: u64, tensors: impl IntoIterator<Item = View<'a>>) -> Self {
        let mut hash = Sha256::new();
        hash.update(step.to_le_bytes());
        let length = |hash: &mut Sha256, length: usize| hash.update((length as u64).to_le_bytes());
        for View { name, shape, data } in tensors {
            for text in [name, "F32"] {
                length(&mut hash, text.len());
                hash.update(text);
            }
            length(&mut hash, shape.len());
            shape.iter().for_each(|side| length(&mut hash, *side));
            length(&mut hash, size_of_val(data));
            hash.update(wire::bytes(data));
        }
        Self(hash.finalize().into())
    }

    /// The SHA-256 of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Of bytes whose origin is known, such as a message.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `sha256:` and 64 hexadecimal digits")]
pub struct NotADigest(String);

const PREFIX: &str = "sha256:";

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let wrong = || NotADigest(text.to_owned());
        let digits = text.strip_prefix(PREFIX).ok_or_else(wrong)?.as_bytes();
        let (pairs, rest) = digits.as_chunks::<2>();
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(wrong());
        }
        // As printed: lower case.
        let digit = |byte: u8| (!byte.is_ascii_uppercase()).then(|| char::from(byte).to_digit(16)).flatten();
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = digit(*high).zip(digit(*low)).ok_or_else(wrong)?;
            *byte = (high << 4 | low) as u8;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;
    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors;
    use std::process::Command;

    const MODEL: [View<'static>; 2] = [
        View { name: "layers.0.weight", shape: &[2, 3], data: &[0.5, -1.0, 2.25, 0.1, -0.0, 7.0] },
        View { name: "layers.0.bias", shape: &[2], data: &[1e-40, f32::MAX] },
    ];
    const MOMENTS: [View<'static>; 1] =
        [View { name: "layers.0.weight.exp_avg", shape: &[2, 3], data: &[0.25; 6] }];

    fn digest() -> Digest {
        Digest::new(1234, MODEL.into_iter().chain(MOMENTS))
    }

    /// Against the script that knows nothing but the two files.
    #[test]
    fn the_script_computes_the_same() {
        if Command::new("python3").arg("--version").output().is_err() {
            println!("NOT TESTED: there is no python3 to run tests/digest.py");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/digest.py")).arg("1234");
        for (name, views) in [("model", MODEL.as_slice()), ("optimizer", &MOMENTS)] {
            let path = folder.path().join(name);
            let metadata = [("step".to_owned(), "1234".to_owned())].into();
            tensors::write(&mut std::fs::File::create(&path).unwrap(), &metadata, views).unwrap();
            command.arg(path);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), digest().to_string());
    }

    #[test]
    fn every_part_counts() {
        let [weight, bias] = MODEL;
        let others = [
            Digest::new(1235, MODEL.into_iter().chain(MOMENTS)),
            Digest::new(1234, MODEL),
            Digest::new(1234, [bias, weight].into_iter().chain(MOMENTS)),
            Digest::new(1234, [View { name: "w", ..weight }, bias].into_iter().chain(MOMENTS)),
            Digest::new(1234, [View { shape: &[3, 2], ..weight }, bias].into_iter().chain(MOMENTS)),
            Digest::new(1234, [View { data: &[0.5, -1.0, 2.25, 0.1, 0.0, 7.0], ..weight }, bias]),
        ];
        assert!(others.iter().all(|other| *other != digest()));
    }

    #[test]
    fn a_digest_reads_what_it_prints() {
        let text = digest().to_string();
        assert_eq!(text.parse(), Ok(digest()));
        assert_eq!(
            serde_json::from_str::<Digest>(&serde_json::to_string(&digest()).unwrap()).unwrap(),
            digest()
        );
        for wrong in [
            "",
            "sha256:",
            &text[1..],
            &text[..70],
            &text.to_uppercase(),
            &text.replace(':', ":g"),
            &format!("{text}0"),
        ] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
        assert!(format!("sha256:{}", "é".repeat(32)).parse::<Digest>().is_err());
    }
}
