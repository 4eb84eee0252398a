//! The run file: what was typed, and what is meant.
//!
//! [`spec`] holds what is meant, every default filled in.

pub mod spec;
