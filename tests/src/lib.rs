//! The test harness, and the benchmarks.

pub mod bench;
