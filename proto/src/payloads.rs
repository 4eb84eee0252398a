//! Memory of payloads, used again once every queue and socket has let go of it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Buffers of one size. There are never more than payloads were alive at once.
#[derive(Debug)]
pub struct Payloads {
    capacity: usize,
    /// Each shares its memory with the payload that was last made in it; the oldest payload first.
    buffers: VecDeque<BytesMut>,
}

impl Payloads {
    /// For payloads of at most `capacity` bytes.
    pub const fn new(capacity: usize) -> Self {
        Self { capacity, buffers: VecDeque::new() }
    }

    /// A payload of `len` bytes, at most the capacity, as `write` leaves them; they are zero before.
    pub fn make(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> Bytes {
        let capacity = self.capacity.max(len);
        let free = self.buffers.iter_mut().position(|buffer| buffer.try_reclaim(capacity));
        let free = free.and_then(|place| self.buffers.remove(place));
        let mut buffer = free.unwrap_or_else(|| BytesMut::with_capacity(capacity));
        buffer.resize(len, 0);
        write(&mut buffer);
        let payload = buffer.split().freeze();
        self.buffers.push_back(buffer);
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_once_it_is_free() {
        let mut payloads = Payloads::new(8);
        let first = payloads.make(8, |bytes| bytes.fill(1));
        let (place, second) = (first.as_ptr(), payloads.make(3, |bytes| bytes.fill(2)));
        let shared = first.clone();
        drop(first);
        let third = payloads.make(8, |bytes| assert_eq!(bytes, [0; 8]));
        assert_eq!((&shared[..], &second[..]), (&[1; 8][..], &[2; 3][..]));
        assert_ne!(third.as_ptr(), place, "it is still shared");
        drop((shared, second, third));
        let again = payloads.make(8, |bytes| bytes.fill(3));
        assert_eq!((again.as_ptr(), &again[..]), (place, &[3; 8][..]));
        assert_eq!(payloads.buffers.len(), 3);
    }
}
