//! A file a command.
pub mod evaluate;
pub mod inspect;
pub mod predict;
pub mod worker;
