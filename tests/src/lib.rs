//! The test harness.

pub mod cluster;
pub mod fuzz;
pub mod sim;
