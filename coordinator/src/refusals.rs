//! Messages that were refused, by reason, counted where they are refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What the service refuses before the cluster sees it. What is known by name is shown from the start,
/// as zero, so that the first one is seen as a change.
pub(crate) const REASONS: [&str; 4] = ["malformed", "too_large", "unauthenticated", "unknown_session"];

/// Counts by reason. A clone counts in the same books. Reasons are names of metrics' labels: few, fixed,
/// never anything that a peer sent.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Refusals {
    /// One more was refused for this reason.
    pub fn count(&self, reason: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_insert(0) += 1;
    }

    /// All of them until now.
    pub fn all(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
