//! How a vector is cut for travel.
//!
//! No number depends on the cut: sums and updates are elementwise.

use std::ops::Range;

use crate::layout::Layout;

/// Elements in the longest chunk: 1 MiB of f32.
const LONGEST: usize = 1 << 18;
/// Whole layers are joined while their elements sum to at most this many: 256 KiB of f32.
const TINY: usize = 1 << 16;
/// Cuts within a layer fall on multiples of this, counted from its start.
const GRAIN: usize = 1 << 10;

/// The cut of a flat vector, from its start to its end.
///
/// A chunk never reaches over two layers unless they are tiny, so that it can leave as soon as its
/// layer is differentiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunks {
    ends: Vec<usize>,
}

impl Chunks {
    /// The cut of vectors of this layout.
    pub fn new(layout: &Layout) -> Self {
        let mut pieces: Vec<Range<usize>> = Vec::new();
        for layer in layout.layers().filter(|layer| !layer.is_empty()) {
            match pieces.last_mut() {
                Some(piece) if layer.end - piece.start <= TINY => piece.end = layer.end,
                _ => pieces.push(layer),
            }
        }
        let mut ends = Vec::new();
        for piece in pieces {
            let count = piece.len().div_ceil(LONGEST);
            let size = piece.len().div_ceil(count).next_multiple_of(GRAIN).min(LONGEST);
            ends.extend(piece.clone().skip(size).step_by(size));
            ends.push(piece.end);
        }
        Self { ends }
    }

    /// How many chunks there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the vector has no elements.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The elements of a chunk; `None` past the last.
    pub fn range(&self, index: usize) -> Option<Range<usize>> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        Some(start..end)
    }

    /// All chunks in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<usize>> + '_ {
        (0..self.len()).filter_map(|index| self.range(index))
    }

    /// The place of a chunk in the order of upload, which is from the last to the first: backward
    /// finishes the last layer first. Its own inverse: `mirrored(mirrored(i)) == i`.
    pub fn mirrored(&self, index: usize) -> Option<usize> {
        self.len().checked_sub(index)?.checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(layers: &[usize]) -> Vec<Range<usize>> {
        Chunks::new(&layout(layers)).iter().collect()
    }

    fn layout(layers: &[usize]) -> Layout {
        let mut layout = Layout::new();
        for (layer, elements) in layers.iter().enumerate() {
            layout.push(layer, format!("layers.{layer}.weight"), &[*elements]);
        }
        layout
    }

    #[test]
    fn tiny_layers_are_joined_and_long_ones_cut() {
        assert_eq!(cut(&[]), []);
        assert_eq!(cut(&[0, 5, 0, 4, 65_528]), [0..9, 9..65_537]);
        assert_eq!(cut(&[40_000, 20_000, 10_000]), [0..60_000, 60_000..70_000]);
        assert_eq!(cut(&[LONGEST + 1, 7]), [0..132_096, 132_096..262_145, 262_145..262_152]);
    }

    #[test]
    fn upload_order_is_its_own_inverse() {
        let chunks = Chunks::new(&layout(&[70_000, 70_000, 70_000]));
        assert_eq!([0, 1, 2, 3].map(|i| chunks.mirrored(i)), [Some(2), Some(1), Some(0), None]);
    }

    proptest! {
        #[test]
        fn chunks_cover_the_vector(layers in proptest::collection::vec(0usize..800_000, 0..9)) {
            let mut end = 0;
            let layout = layout(&layers);
            for chunk in cut(&layers) {
                prop_assert!(chunk.start == end && chunk.end > end && chunk.len() <= LONGEST);
                end = chunk.end;
                let touched = layout.layers().filter(|l| l.start < chunk.end && chunk.start < l.end).count();
                prop_assert!(touched == 1 || chunk.len() <= TINY);
            }
            prop_assert_eq!(end, layout.len());
        }
    }
}
