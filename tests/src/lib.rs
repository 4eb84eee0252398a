//! The test harness, and the benchmarks.

pub mod bench;
pub mod chaos;
pub mod cluster;
pub mod fuzz;
pub mod objects;
pub mod rows;
pub mod sim;
