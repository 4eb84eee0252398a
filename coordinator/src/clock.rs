//! The driver's clock: time in which this process ran.

use std::time::{Duration, Instant};

/// Counts time, but no more than `most` between two looks: while the process did not run (stopped,
/// suspended, starved), messages could not be read, and nobody must be called late for it.
#[derive(Debug)]
pub(crate) struct Clock {
    now: Duration,
    last: Instant,
    most: Duration,
}

impl Clock {
    /// To be looked at more often than every `most`.
    pub(crate) fn new(most: Duration) -> Self {
        Self { now: Duration::ZERO, last: Instant::now(), most }
    }

    pub(crate) fn now(&mut self) -> Duration {
        let last = std::mem::replace(&mut self.last, Instant::now());
        self.now += self.last.duration_since(last).min(self.most);
        self.now
    }
}
