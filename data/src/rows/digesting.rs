//! A block's digest, made while its bytes are read.

use std::io::{self, Read};

use super::catalog::BlockDigest;

/// Reads, and digests what is read while it is in the core's cache.
pub(super) struct Digesting<R> {
    inner: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Digesting<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, hasher: blake3::Hasher::new() }
    }

    /// Of everything, up to the end: what nobody has read is read now.
    ///
    /// # Errors
    /// The rest cannot be read.
    pub(super) fn digest(mut self) -> io::Result<BlockDigest> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(BlockDigest::from(self.hasher.finalize()))
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..length).unwrap_or_default());
        Ok(length)
    }
}
