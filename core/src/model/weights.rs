//! Weights as layers read them.

use super::Model;

/// A model's weights, layer by layer: wherever they lie, and also while the last ones are still on
/// their way.
pub trait Weights<T>: Sync {
    /// The layer's part of the vector; empty without parameters. Only of layers that are here. The number
    /// past the last layer stands for all running statistics: an evaluation needs them, training does not.
    fn layer(&self, index: usize) -> &[T];
}

/// All of them in one flat vector.
#[derive(Clone, Copy, Debug)]
pub struct Flat<'a, T> {
    model: &'a Model,
    values: &'a [T],
}

impl<'a, T> Flat<'a, T> {
    /// `values` is a vector of the model's layout.
    pub fn new(model: &'a Model, values: &'a [T]) -> Self {
        Self { model, values }
    }
}

impl<T: Sync> Weights<T> for Flat<'_, T> {
    fn layer(&self, index: usize) -> &[T] {
        &self.values[self.model.parameters(index)]
    }
}
