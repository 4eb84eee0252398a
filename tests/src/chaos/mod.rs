//! Chaos: real processes, and faults of every kind from one seed; the run must end with the bits of an
//! undisturbed one.
//!
//! [`storm`] is everything at once, [`checkpoints`] kills the coordinator while it writes. Each says what it
//! did: a fault that never came proves nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a harness fails by panicking")]

pub mod checkpoints;
pub mod storm;
