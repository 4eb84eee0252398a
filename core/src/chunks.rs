//! How a vector is cut for travel.
//!
//! No number depends on the cut: sums and updates are elementwise.

use std::ops::Range;

use crate::layout::Layout;

/// Where a vector may be cut, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In the longest chunk of parameters; at least 1.
    pub longest: usize,
    /// Whole layers are joined while their elements sum to at most this many.
    pub tiny: usize,
    /// Cuts within a layer fall on multiples of this, counted from its start; at least 1.
    pub grain: usize,
}

impl Limits {
    /// Of the wire: chunks of at most 1 MiB of f32, layers joined up to 256 KiB.
    pub const WIRE: Self = Self { longest: 1 << 18, tiny: 1 << 16, grain: 1 << 10 };
}

/// The cut of a flat vector, from its start to its end.
///
/// A chunk never reaches over two layers unless they are tiny, so that it can leave as soon as its
/// layer is differentiated. Running statistics have chunks of their own, the last, and those of one layer
/// are never cut: they are combined, not added, and need each other for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunks {
    ends: Vec<usize>,
}

impl Chunks {
    /// The cut of vectors of this layout on the wire.
    pub fn new(layout: &Layout) -> Self {
        Self::within(layout, Limits::WIRE)
    }

    /// The cut within other limits. Both ends of a wire must have the same.
    pub fn within(layout: &Layout, limits: Limits) -> Self {
        let Limits { longest, tiny, grain } = limits;
        let (longest, grain) = (longest.max(1), grain.max(1));
        let mut ends = Vec::new();
        for piece in joined(layout.layers(), tiny) {
            let count = piece.len().div_ceil(longest);
            let size = piece.len().div_ceil(count).next_multiple_of(grain).min(longest);
            ends.extend(piece.clone().skip(size).step_by(size));
            ends.push(piece.end);
        }
        let statistics = layout.statistics().iter().map(|layer| layer.range.clone());
        ends.extend(joined(statistics, tiny).into_iter().map(|piece| piece.end));
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

/// Neighbours that have elements, joined while these are few.
fn joined(layers: impl Iterator<Item = Range<usize>>, tiny: usize) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for layer in layers.filter(|layer| !layer.is_empty()) {
        match pieces.last_mut() {
            Some(piece) if layer.end - piece.start <= tiny => piece.end = layer.end,
            _ => pieces.push(layer),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Tracked;
    use proptest::prelude::*;

    const LONGEST: usize = Limits::WIRE.longest;

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
        fn chunks_cover_the_vector(
            layers in proptest::collection::vec(0usize..800_000, 0..9),
            channels in proptest::collection::vec(1usize..40_000, 0..4),
            fine in proptest::option::of((1usize..40_000, 0usize..40_000, 1usize..5_000)),
        ) {
            let mut end = 0;
            let mut layout = layout(&layers);
            for (layer, channels) in channels.iter().enumerate() {
                let tracked = Tracked { layer, range: 0..2 * channels, values: 1, momentum: 0.1 };
                layout.track(layers.len(), &format!("layers.{layer}"), tracked);
            }
            let limits = fine.map_or(Limits::WIRE, |(longest, tiny, grain)| Limits { longest, tiny, grain });
            for chunk in Chunks::within(&layout, limits).iter() {
                prop_assert!(chunk.start == end && chunk.end > end);
                end = chunk.end;
                let inside = |l: &Range<usize>| l.start < chunk.end && chunk.start < l.end;
                let (parameters, statistics) = (layout.layers().filter(inside).count(), layout.statistics());
                let whole = |l: &Range<usize>| chunk.start <= l.start && l.end <= chunk.end;
                let mut tracked = statistics.iter().map(|of| &of.range).filter(|l| inside(l)).peekable();
                if tracked.peek().is_some() {
                    prop_assert!(parameters == 0 && tracked.clone().all(whole));
                    prop_assert!(tracked.count() == 1 || chunk.len() <= limits.tiny);
                } else {
                    prop_assert!(chunk.len() <= limits.longest.max(limits.tiny));
                    prop_assert!(parameters == 1 || chunk.len() <= limits.tiny);
                }
            }
            prop_assert_eq!(end, layout.len());
        }
    }
}
