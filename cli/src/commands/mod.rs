//! A file a command.
pub mod worker;
