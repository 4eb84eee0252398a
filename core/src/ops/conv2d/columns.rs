//! Windows written out as the rows of a matrix, and added back.

use std::ops::Range;

use crate::ops::window::Window;
use crate::{Float, simd};

/// Below this many values in a line of the window, a call that copies costs more than the copying.
const SHORT: usize = 16;

/// Overwrites `columns` \[places, kernel, kernel, channels\] with what the window sees at `places`, counted
/// through the pictures `x`; zero in the padding.
pub(super) fn gather<T: Float>(window: &Window, x: &[T], places: Range<usize>, columns: &mut [T]) {
    let (channels, area, span) = (window.channels, window.area(), window.kernel * window.channels);
    let mut rest = columns;
    for run in window.runs(places) {
        let (columns, after) = rest.split_at_mut(run.places.len() * area);
        rest = after;
        let whole = window.whole(&run.places);
        for tap in 0..window.kernel {
            let Some(line) = window.source(run.picture, run.line, tap) else {
                columns
                    .chunks_exact_mut(area)
                    .for_each(|column| column[tap * span..][..span].fill(T::zero()));
                continue;
            };
            let line = &x[line];
            for (column, place) in columns.chunks_exact_mut(area).zip(run.places.clone()) {
                let column = &mut column[tap * span..][..span];
                if !whole.contains(&place) {
                    let (inside, first) = window.inside(place);
                    let inside = inside.start * channels..inside.end * channels;
                    column[..inside.start].fill(T::zero());
                    column[inside.end..].fill(T::zero());
                    column[inside.clone()].copy_from_slice(&line[first * channels..][..inside.len()]);
                } else if span >= SHORT {
                    column.copy_from_slice(&line[window.start(place)..][..span]);
                }
            }
            if span < SHORT && !whole.is_empty() {
                let columns = &mut columns[(whole.start - run.places.start) * area..];
                gather_short(window, &line[window.start(whole.start)..], whole.len(), tap, columns);
            }
        }
    }
}

/// Value after value, each for all places.
fn gather_short<T: Float>(window: &Window, line: &[T], places: usize, tap: usize, columns: &mut [T]) {
    let (area, span) = (window.area(), window.kernel * window.channels);
    let step = window.stride * window.channels;
    for value in 0..span {
        let columns = columns[tap * span + value..].iter_mut().step_by(area);
        for (column, x) in columns.zip(line[value..].iter().step_by(step)).take(places) {
            *column = *x;
        }
    }
}

/// Adds `columns` to the pixels `x` that [`gather`] would take them from, in the order of places.
pub(super) fn scatter<T: Float>(window: &Window, columns: &[T], places: Range<usize>, x: &mut [T]) {
    let (channels, area, span) = (window.channels, window.area(), window.kernel * window.channels);
    simd::wide(
        #[inline(always)]
        || {
            let mut rest = columns;
            for run in window.runs(places) {
                let (columns, after) = rest.split_at(run.places.len() * area);
                rest = after;
                for tap in 0..window.kernel {
                    let Some(line) = window.source(run.picture, run.line, tap) else { continue };
                    let line = &mut x[line];
                    for (column, place) in columns.chunks_exact(area).zip(run.places.clone()) {
                        let (inside, first) = window.inside(place);
                        let column = &column[tap * span..][inside.start * channels..inside.end * channels];
                        for (x, column) in line[first * channels..].iter_mut().zip(column) {
                            *x += *column;
                        }
                    }
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels 1 to 6 in two lines of three, two channels: pixel p is (p, -p).
    #[test]
    fn what_a_window_sees() {
        let window = Window { channels: 2, height: 2, width: 3, kernel: 2, stride: 2, padding: 1 };
        let x: Vec<f32> = (1..=6).flat_map(|p| [p as f32, -(p as f32)]).collect();
        let mut columns = [f32::NAN; 4 * 8];
        gather(&window, &x, 0..4, &mut columns);
        let seen: Vec<f32> = columns.iter().step_by(2).copied().collect();
        assert_eq!(seen, [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 3.0, 0.0, 4.0, 0.0, 0.0, 5.0, 6.0, 0.0, 0.0]);
        assert!(columns.chunks(2).all(|pixel| pixel[0] == -pixel[1]));
        let mut back = vec![0.0; 12];
        scatter(&window, &columns, 0..4, &mut back);
        assert_eq!(back, x);
    }

    /// Long and short lines of a window take different ways to the same values.
    #[test]
    fn gathering_follows_its_definition() {
        for (channels, kernel, stride, padding) in
            [(1, 3, 1, 1), (1, 3, 2, 0), (3, 5, 2, 2), (9, 2, 1, 0), (7, 4, 3, 3)]
        {
            let window = Window { channels, height: 6, width: 9, kernel, stride, padding };
            let x: Vec<f32> = (0..2 * window.picture()).map(|i| i as f32).collect();
            let (places, area) = (window.places(), window.area());
            let range = 3..2 * places - 2;
            let mut columns = vec![f32::NAN; range.len() * area];
            gather(&window, &x, range.clone(), &mut columns);
            for (index, value) in columns.into_iter().enumerate() {
                let (place, tap) = (range.start + index / area, index % area);
                let (picture, place) = (place / places, place % places);
                let at = |place: usize, tap: usize| (place * stride + tap).wrapping_sub(padding);
                let y = at(place / window.columns(), tap / channels / kernel);
                let x_ = at(place % window.columns(), tap / channels % kernel);
                let expected = if y < window.height && x_ < window.width {
                    x[((picture * window.height + y) * window.width + x_) * channels + tap % channels]
                } else {
                    0.0
                };
                assert_eq!(value, expected, "{window:?}, value {index}");
            }
        }
    }
}
