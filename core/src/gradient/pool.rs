//! Memory that is used again.

use std::sync::{Mutex, PoisonError};

use crate::Float;

/// Vectors that nobody uses at the moment. The one that was given back last is taken first: it is the
/// likeliest to be in cache.
#[derive(Debug)]
pub(super) struct Pool<T>(Mutex<Vec<Vec<T>>>);

impl<T: Float> Pool<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Runs `work` on `len` values of any content.
    pub(super) fn with<R>(&self, len: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
        // A panic elsewhere leaves vectors as good as any.
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut values = taken.unwrap_or_default();
        if values.len() < len {
            values.resize(len, T::zero());
        }
        let result = work(&mut values[..len]);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(values);
        result
    }
}
