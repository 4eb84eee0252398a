//! A blob from one place on, for readers that want a stream.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::Blob;

/// First as little of a window is fetched, for readers that want a header and no more; then twice as much
/// each time.
const FIRST: u64 = 2048;

/// Reads ahead, but large reads directly.
pub(crate) struct Stream {
    blob: Arc<dyn Blob>,
    /// The first byte that is not in `ahead`.
    at: u64,
    ahead: Bytes,
    step: u64,
}

impl Stream {
    pub(crate) fn new(blob: Arc<dyn Blob>, at: u64) -> Self {
        let step = blob.window() / FIRST;
        Self { blob, at, ahead: Bytes::new(), step }
    }

    /// Up to so many bytes; none at the end.
    fn fetch(&mut self, most: u64) -> io::Result<Bytes> {
        let end = self.at.saturating_add(most).min(self.blob.length());
        let bytes = self.blob.read(self.at.min(end)..end).map_err(io::Error::other)?;
        self.at += bytes.len() as u64;
        Ok(bytes)
    }
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ahead.is_empty() {
            self.ahead = self.fetch(self.step)?;
            self.step = self.blob.window().min(self.step * 2);
        }
        Ok(&self.ahead)
    }

    fn consume(&mut self, amount: usize) {
        self.ahead.advance(amount.min(self.ahead.len()));
    }
}

impl Read for Stream {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() && to.len() as u64 >= self.step {
            let bytes = self.fetch(to.len() as u64)?;
            to.get_mut(..bytes.len()).unwrap_or_default().copy_from_slice(&bytes);
            return Ok(bytes.len());
        }
        let read = self.fill_buf()?.read(to)?;
        self.consume(read);
        Ok(read)
    }
}

impl Seek for Stream {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let here = self.at - self.ahead.len() as u64;
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(offset) => self.blob.length().checked_add_signed(offset),
            SeekFrom::Current(offset) => here.checked_add_signed(offset),
        };
        let place = place.ok_or(io::ErrorKind::InvalidInput)?;
        match place.checked_sub(here) {
            Some(forward) if forward <= self.ahead.len() as u64 => self.consume(forward as usize),
            _ => (self.at, self.ahead, self.step) = (place, Bytes::new(), self.blob.window() / FIRST),
        }
        Ok(place)
    }
}
