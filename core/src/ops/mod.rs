//! The operations of a network: one operation, one place, forward and backward.
//!
//! All work on row-major slices that the caller owns and allocate nothing. A slice of another length
//! than the shapes say is the caller's mistake; a loss reports it as NaN.

pub mod activation;
pub mod dropout;
mod lanes;
pub mod linear;
pub mod loss;

#[cfg(test)]
mod check;
