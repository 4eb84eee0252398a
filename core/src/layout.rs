//! The map of the flat parameter vector.

use std::ops::Range;

/// A named view into the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// As PyTorch names it: `layers.0.weight`.
    pub name: String,
    /// Row-major.
    pub shape: Vec<usize>,
    /// Its elements in the flat vector.
    pub range: Range<usize>,
    /// The number of its layer, parameterless layers counted too.
    pub layer: usize,
}

/// All parameters of a model, end to end in the order in which they were pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<Tensor>,
}

impl Layout {
    /// A vector without parameters.
    pub const fn new() -> Self {
        Self { tensors: Vec::new() }
    }

    /// Appends a tensor. Layers come in ascending order, so that a layer is one piece of the vector.
    pub fn push(&mut self, layer: usize, name: impl Into<String>, shape: &[usize]) {
        let start = self.len();
        let elements = shape.iter().fold(1_usize, |n, side| n.saturating_mul(*side));
        let range = start..start.saturating_add(elements);
        self.tensors.push(Tensor { name: name.into(), shape: shape.to_vec(), range, layer });
    }

    /// In parameter order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Elements of the flat vector.
    pub fn len(&self) -> usize {
        self.tensors.last().map_or(0, |tensor| tensor.range.end)
    }

    /// Whether there is nothing to train.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements of a layer; none if it has no parameters.
    pub fn layer(&self, layer: usize) -> Range<usize> {
        let first = self.tensors.partition_point(|tensor| tensor.layer < layer);
        let end = self.tensors.partition_point(|tensor| tensor.layer <= layer);
        let place = |index: usize| self.tensors.get(index).map_or(self.len(), |tensor| tensor.range.start);
        place(first)..place(end)
    }

    /// The elements of each layer that has parameters, in order.
    pub fn layers(&self) -> impl Iterator<Item = Range<usize>> {
        self.tensors.chunk_by(|a, b| a.layer == b.layer).filter_map(|layer| match layer {
            [first, .., last] => Some(first.range.start..last.range.end),
            [only] => Some(only.range.clone()),
            [] => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_lie_end_to_end() {
        let mut layout = Layout::new();
        assert!(layout.is_empty());
        layout.push(0, "layers.0.weight", &[3, 2]);
        layout.push(0, "layers.0.bias", &[3]);
        layout.push(2, "layers.2.weight", &[1, 3]);
        assert_eq!(layout.len(), 12);
        assert_eq!(layout.tensors()[1].range, 6..9);
        assert_eq!([0, 1, 2, 3].map(|layer| layout.layer(layer)), [0..9, 9..9, 9..12, 12..12]);
        assert_eq!(layout.layers().collect::<Vec<_>>(), [0..9, 9..12]);
    }
}
