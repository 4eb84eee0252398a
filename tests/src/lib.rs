//! The test harness.

pub mod sim;
