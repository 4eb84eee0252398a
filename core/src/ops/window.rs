//! A square window that slides over pictures.

use std::ops::Range;

/// Where the window of a convolution or a pooling stands. A picture is \[height, width, channels\]: a
/// pixel's channels lie together, so that every loop over them is wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Channels of the picture.
    pub channels: usize,
    /// Lines of the picture.
    pub height: usize,
    /// Pixels in a line.
    pub width: usize,
    /// Side of the window; at least 1, and at most the picture's side with its padding.
    pub kernel: usize,
    /// Pixels from one place of the window to the next, at least 1.
    pub stride: usize,
    /// Pixels beyond each edge that the window may also stand on.
    pub padding: usize,
}

/// Places of the window side by side in one line.
pub(super) struct Run {
    pub(super) picture: usize,
    /// The places' line.
    pub(super) line: usize,
    /// The places in that line.
    pub(super) places: Range<usize>,
}

impl Window {
    /// Lines of places, ⌊(height + 2·padding - kernel) / stride⌋ + 1.
    pub fn lines(&self) -> usize {
        along(self.height, self)
    }

    /// Places in a line.
    pub fn columns(&self) -> usize {
        along(self.width, self)
    }

    /// All places in one picture.
    pub fn places(&self) -> usize {
        self.lines() * self.columns()
    }

    /// Values in one picture.
    pub fn picture(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Values under the window: \[kernel, kernel, channels\].
    pub fn area(&self) -> usize {
        self.kernel * self.kernel * self.channels
    }

    /// Whether every pixel is under the window at exactly one place.
    pub(super) fn tiles(&self) -> bool {
        let cut = |side: usize| side.is_multiple_of(self.kernel);
        self.kernel == self.stride && self.padding == 0 && cut(self.height) && cut(self.width)
    }

    /// Where the pixels of `picture` lie that are under line `tap` of the windows in `line`; none in the
    /// padding.
    pub(super) fn source(&self, picture: usize, line: usize, tap: usize) -> Option<Range<usize>> {
        let line = (line * self.stride + tap).checked_sub(self.padding).filter(|line| *line < self.height)?;
        let width = self.width * self.channels;
        let start = (picture * self.height + line) * width;
        Some(start..start + width)
    }

    /// Those of some places of a line at which the window stands on pixels alone, left and right.
    pub(super) fn whole(&self, places: &Range<usize>) -> Range<usize> {
        let first = self.padding.div_ceil(self.stride);
        let last = (self.width + self.padding).checked_sub(self.kernel).map(|most| most / self.stride);
        let start = first.clamp(places.start, places.end);
        start..last.map_or(start, |last| (last + 1).clamp(start, places.end))
    }

    /// Where the first pixel under a whole window lies in its line.
    pub(super) fn start(&self, place: usize) -> usize {
        (place * self.stride - self.padding) * self.channels
    }

    /// Of a window at place `column`: the taps that stand on pixels, and the first such pixel.
    pub(super) fn inside(&self, column: usize) -> (Range<usize>, usize) {
        let start = column * self.stride;
        let first = self.padding.saturating_sub(start).min(self.kernel);
        let end = (self.width + self.padding).saturating_sub(start).clamp(first, self.kernel);
        (first..end, (start + first).saturating_sub(self.padding).min(self.width))
    }

    /// Places counted through all pictures, cut at the ends of lines.
    pub(super) fn runs(&self, places: Range<usize>) -> impl Iterator<Item = Run> {
        let (lines, columns) = (self.lines(), self.columns());
        let mut next = places.start;
        std::iter::from_fn(move || {
            let (line, column) = (next / columns, next % columns);
            let count = (columns - column).min(places.end - next);
            next += count;
            (count > 0).then_some(Run {
                picture: line / lines,
                line: line % lines,
                places: column..column + count,
            })
        })
    }
}

fn along(side: usize, window: &Window) -> usize {
    (side + 2 * window.padding - window.kernel) / window.stride + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { channels: 2, height: 5, width: 4, kernel: 3, stride: 2, padding: 1 };

    #[test]
    fn places_are_counted_as_in_pytorch() {
        assert_eq!((WINDOW.lines(), WINDOW.columns(), WINDOW.area()), (3, 2, 18));
        let exact = Window { height: 3, width: 3, padding: 0, ..WINDOW };
        assert_eq!(exact.places(), 1);
    }

    #[test]
    fn only_windows_side_by_side_tile() {
        let tiles = |kernel, stride, padding, width| {
            Window { kernel, stride, padding, width, height: 4, channels: 1 }.tiles()
        };
        assert!(tiles(2, 2, 0, 6));
        assert!(!tiles(2, 2, 0, 5) && !tiles(2, 1, 0, 6) && !tiles(2, 2, 1, 6));
    }

    #[test]
    fn a_window_is_clipped_at_the_edges() {
        assert_eq!(WINDOW.inside(0), (1..3, 0));
        assert_eq!(WINDOW.inside(1), (0..3, 1));
        let wide = Window { padding: 3, stride: 1, ..WINDOW };
        assert_eq!(wide.inside(0).0.len(), 0);
        assert_eq!(wide.inside(6), (0..1, 3));
        assert_eq!(wide.inside(7), (0..0, 4));
        assert_eq!(Window { kernel: 1, ..wide }.inside(9), (0..0, 4));
        assert_eq!([0, 1, 2].map(|tap| WINDOW.source(1, 0, tap)), [None, Some(40..48), Some(48..56)]);
        assert_eq!(WINDOW.source(0, 2, 2), None);
        assert_eq!((WINDOW.whole(&(0..2)), wide.whole(&(1..7)), wide.whole(&(0..2))), (1..2, 3..5, 2..2));
    }

    #[test]
    fn runs_cover_every_place_once() {
        let places: Vec<usize> = WINDOW
            .runs(1..11)
            .flat_map(|run| run.places.map(move |place| (run.picture * 3 + run.line) * 2 + place))
            .collect();
        assert_eq!(places, (1..11).collect::<Vec<_>>());
    }
}
