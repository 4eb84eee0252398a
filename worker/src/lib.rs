//! The worker: gradients of its nodes, step by step.
//!
//! [`session`] is all decisions without I/O; [`compute`] is the arithmetic, on threads of its own;
//! the client moves messages between the two and the coordinator.

pub mod arriving;
mod client;
pub mod compute;
mod engine;
mod prefetch;
pub mod session;
pub mod task;
pub mod view;
pub mod weights;

pub use client::{Asked, Ended, NotAsked, Options, Probed, Trouble, Trust, probe, run, stop};
