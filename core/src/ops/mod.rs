//! The operations of a network: one operation, one place, forward and backward.
//!
//! All work on row-major slices that the caller owns and allocate nothing once their room on the side has
//! grown. A slice of another length than the shapes say is the caller's mistake; a loss reports it as NaN.

pub mod activation;
pub mod avg_pool;
pub mod batch_norm;
pub mod conv2d;
pub mod dropout;
pub mod embedding;
pub mod global_avg_pool;
mod lanes;
pub mod layer_norm;
pub mod linear;
pub mod loss;
pub mod max_pool;
pub mod transpose;
pub mod window;

#[cfg(test)]
pub(crate) mod check;

/// So many values of a vector that only grows: what lies there is of no meaning, and whoever asks for the
/// room overwrites it.
pub(crate) fn room<T: crate::Float>(values: &mut Vec<T>, len: usize) -> &mut [T] {
    if values.len() < len {
        values.resize(len, T::zero());
    }
    &mut values[..len]
}
