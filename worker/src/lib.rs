//! The worker: gradients of its nodes, step by step.
//!
//! [`session`] is all decisions without I/O; [`compute`] is the arithmetic, on threads of its own;
//! the client moves messages between the two and the coordinator.

pub mod compute;
pub mod session;
pub mod weights;
