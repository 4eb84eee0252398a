//! The test harness.

pub mod cluster;
pub mod sim;
