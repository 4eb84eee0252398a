//! The map of the flat vector: parameters, and behind them running statistics.

use std::ops::Range;

use crate::statistics::Tracked;

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

/// All tensors of a model, end to end in the order in which they were pushed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    tensors: Vec<Tensor>,
    statistics: Vec<Tracked>,
}

impl Layout {
    /// A vector without elements.
    pub const fn new() -> Self {
        Self { tensors: Vec::new(), statistics: Vec::new() }
    }

    /// Appends parameters. Layers come in ascending order, so that a layer is one piece of the vector.
    pub fn push(&mut self, layer: usize, name: impl Into<String>, shape: &[usize]) {
        let start = self.len();
        let elements = shape.iter().fold(1_usize, |n, side| n.saturating_mul(*side));
        let range = start..start.saturating_add(elements);
        self.tensors.push(Tensor { name: name.into(), shape: shape.to_vec(), range, layer });
    }

    /// Appends the running statistics of a layer, after all parameters; their range is moved there.
    /// `behind` is the number past the last layer: all statistics together are what one layer more would
    /// be.
    pub fn track(&mut self, behind: usize, path: &str, tracked: Tracked) {
        let start = self.len();
        let channels = tracked.channels();
        self.push(behind, format!("{path}.running_mean"), &[channels]);
        self.push(behind, format!("{path}.running_var"), &[channels]);
        self.statistics.push(Tracked { range: start..self.len(), ..tracked });
    }

    /// Parameters, then running statistics.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Those that are trained.
    pub fn parameters(&self) -> &[Tensor] {
        &self.tensors[..self.tensors.len() - 2 * self.statistics.len()]
    }

    /// Those that follow the rows.
    pub fn statistics(&self) -> &[Tracked] {
        &self.statistics
    }

    /// Elements of the flat vector.
    pub fn len(&self) -> usize {
        self.tensors.last().map_or(0, |tensor| tensor.range.end)
    }

    /// Elements that are trained; those behind them are running statistics.
    pub fn trained(&self) -> usize {
        self.parameters().last().map_or(0, |tensor| tensor.range.end)
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements of a layer; none if it has no parameters. The number past the last layer stands for
    /// all running statistics.
    pub fn layer(&self, layer: usize) -> Range<usize> {
        let first = self.tensors.partition_point(|tensor| tensor.layer < layer);
        let end = self.tensors.partition_point(|tensor| tensor.layer <= layer);
        let place = |index: usize| self.tensors.get(index).map_or(self.len(), |tensor| tensor.range.start);
        place(first)..place(end)
    }

    /// The elements of each layer that has parameters, in order.
    pub fn layers(&self) -> impl Iterator<Item = Range<usize>> {
        self.parameters().chunk_by(|a, b| a.layer == b.layer).filter_map(|layer| match layer {
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

    #[test]
    fn statistics_lie_behind_the_parameters() {
        let mut layout = Layout::new();
        layout.push(0, "layers.0.weight", &[3]);
        for layer in [1, 2] {
            let tracked = Tracked { layer, range: 0..4, values: 1, momentum: 0.1 };
            layout.track(3, &format!("layers.{layer}"), tracked);
        }
        let names: Vec<&str> = layout.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names[1..3], ["layers.1.running_mean", "layers.1.running_var"]);
        assert_eq!((layout.len(), layout.trained(), layout.parameters().len()), (11, 3, 1));
        assert_eq!([0, 1, 3].map(|layer| layout.layer(layer)), [0..3, 3..3, 3..11]);
        assert!(layout.layers().eq(std::iter::once(0..3)));
        let ranges: Vec<Range<usize>> = layout.statistics().iter().map(|of| of.range.clone()).collect();
        assert_eq!(ranges, [3..7, 7..11]);
    }
}
