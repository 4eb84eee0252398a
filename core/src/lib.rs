//! The mathematics of Lockstep: layers, losses, optimizers, the flat parameter vector, the reduction
//! tree, the epoch's order, digests, checkpoints as bytes.
//!
//! Nothing here knows of tasks, sockets, clocks or global state: a result is a function of its
//! arguments. No number depends on the machine's size, on threads or on hash order.

pub mod bf16;
pub mod blas;
pub mod chain;
pub mod chunks;
pub mod clip;
pub mod cost;
pub mod diagnosis;
pub mod digest;
pub mod epoch;
pub mod evaluation;
mod float;
pub mod gradient;
pub mod init;
pub mod layout;
pub mod local;
pub mod maths;
pub mod metrics;
pub mod model;
mod nearest;
pub mod numerics;
pub mod ops;
pub mod optimizer;
pub mod product;
pub mod random;
pub mod run;
pub mod schedule;
pub mod simd;
pub mod spike;
pub mod statistics;
pub mod tensors;
pub mod threads;
pub mod tree;
pub mod wire;

pub use float::Float;
pub use nearest::nearest;
