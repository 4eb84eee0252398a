//! A file a command.

pub mod coordinator;
pub mod train;
pub mod worker;
