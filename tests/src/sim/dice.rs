//! Every choice of a simulation, from its seed.

use std::time::Duration;

use lockstep_core::random::{Purpose, Stream, stream};

/// An endless sequence of choices.
#[derive(Debug)]
pub(super) struct Dice(Stream);

impl Dice {
    /// `purpose` keeps what is drawn for one thing apart from what is drawn for another.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        Self(stream(seed, Purpose::Fingerprint, purpose, 0, 0))
    }

    /// Both ends included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below(high - low + 1)
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.0.below(of.len() as u64) as usize).copied()
    }

    pub(super) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.between(low * 1000, high * 1000))
    }

    pub(super) fn real(&mut self, low: f64, high: f64) -> f64 {
        self.0.between(low, high)
    }
}
