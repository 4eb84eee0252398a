//! y\[o, p\] = b\[o\] + Σ w\[o, c, i, j\] · x\[c, p·stride + (i, j) - padding\], as `torch.nn.Conv2d`.
//!
//! By products: with the windows written out as the rows of X \[places, kernel·kernel·inputs\] and the
//! weights as W \[kernel·kernel·inputs, outputs\], Y = X W + b, dW = Xᵀ dY, db = Σ dY and dX = dY Wᵀ,
//! each pixel the sum over the windows that it is in. X is made for a block of places at a time, which
//! stays in cache from the writing to the product, and again in the backward pass: it has kernel² times
//! the values of x.

mod columns;

use crate::ops::room;
use crate::ops::window::Window;
use crate::{Float, product, simd};

/// Values in a block of X and Y together: half a megabyte of f32.
const BLOCK: usize = 1 << 17;

/// A product of fewer places would be slow, however large its other sides are.
const LEAST_PLACES: usize = 64;

/// The shapes: w \[outputs, channels, kernel, kernel\], x \[rows, height, width, channels\], y \[rows,
/// lines, columns, outputs\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// How it slides over x.
    pub window: Window,
    /// Channels of y.
    pub outputs: usize,
}

/// Room on the side: grows to what is needed, then allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Scratch<T> {
    /// W
    weights: Vec<T>,
    /// A block of X, or of its gradient.
    columns: Vec<T>,
    /// The gradient of W of one block, and of all so far.
    sums: Vec<T>,
    total: Vec<T>,
}

/// Overwrites y.
pub fn forward<T: Float>(
    conv: &Conv2d,
    w: &[T],
    b: Option<&[T]>,
    x: &[T],
    y: &mut [T],
    scratch: &mut Scratch<T>,
) {
    let (area, outputs) = (conv.window.area(), conv.outputs);
    let weights = room(&mut scratch.weights, w.len());
    spread(conv, w, weights);
    let places = conv.block();
    let columns = room(&mut scratch.columns, places * area);
    for (block, y) in y.chunks_mut(places * outputs).enumerate() {
        let (start, count) = (block * places, y.len() / outputs);
        let columns = &mut columns[..count * area];
        columns::gather(&conv.window, x, start..start + count, columns);
        product::times(columns, weights, y, count, area, outputs);
        if let Some(b) = b {
            add_bias(b, y);
        }
    }
}

/// Overwrites dw and db with sums over rows and places, block after block.
pub fn backward_parameters<T: Float>(
    conv: &Conv2d,
    dy: &[T],
    x: &[T],
    dw: &mut [T],
    mut db: Option<&mut [T]>,
    scratch: &mut Scratch<T>,
) {
    let (area, outputs) = (conv.window.area(), conv.outputs);
    let places = conv.block();
    let columns = room(&mut scratch.columns, places * area);
    let total = room(&mut scratch.total, dw.len());
    let sums = room(&mut scratch.sums, dw.len());
    total.fill(T::zero());
    if let Some(db) = &mut db {
        db.fill(T::zero());
    }
    for (block, dy) in dy.chunks(places * outputs).enumerate() {
        let (start, count) = (block * places, dy.len() / outputs);
        let columns = &mut columns[..count * area];
        columns::gather(&conv.window, x, start..start + count, columns);
        product::transposed_times(columns, dy, sums, area, count, outputs);
        add(sums, total);
        if let Some(db) = &mut db {
            let sums = &mut sums[..outputs];
            sum_rows(dy, sums);
            add(sums, db);
        }
    }
    collect(conv, total, dw);
}

/// Overwrites dx.
pub fn backward_input<T: Float>(conv: &Conv2d, dy: &[T], w: &[T], dx: &mut [T], scratch: &mut Scratch<T>) {
    let (area, outputs) = (conv.window.area(), conv.outputs);
    let weights = room(&mut scratch.weights, w.len());
    spread(conv, w, weights);
    let places = conv.block();
    let columns = room(&mut scratch.columns, places * area);
    dx.fill(T::zero());
    for (block, dy) in dy.chunks(places * outputs).enumerate() {
        let (start, count) = (block * places, dy.len() / outputs);
        let columns = &mut columns[..count * area];
        product::times_transposed(dy, weights, columns, count, outputs, area);
        columns::scatter(&conv.window, columns, start..start + count, dx);
    }
}

impl Conv2d {
    /// Places in a block; a function of the layer alone.
    fn block(&self) -> usize {
        (BLOCK / (self.window.area() + self.outputs)).max(LEAST_PLACES)
    }
}

/// W \[kernel·kernel, channels, outputs\] of w \[outputs, channels, kernel·kernel\].
fn spread<T: Float>(conv: &Conv2d, w: &[T], weights: &mut [T]) {
    let (channels, taps) = (conv.window.channels, conv.window.kernel * conv.window.kernel);
    for (row, weights) in weights.chunks_exact_mut(conv.outputs).enumerate() {
        let (tap, channel) = (row / channels, row % channels);
        let w = w[channel * taps + tap..].iter().step_by(channels * taps);
        weights.iter_mut().zip(w).for_each(|(weight, w)| *weight = *w);
    }
}

/// The other way.
fn collect<T: Float>(conv: &Conv2d, weights: &[T], w: &mut [T]) {
    let (channels, taps) = (conv.window.channels, conv.window.kernel * conv.window.kernel);
    for (row, weights) in weights.chunks_exact(conv.outputs).enumerate() {
        let (tap, channel) = (row / channels, row % channels);
        let w = w[channel * taps + tap..].iter_mut().step_by(channels * taps);
        w.zip(weights).for_each(|(w, weight)| *w = *weight);
    }
}

fn add_bias<T: Float>(b: &[T], y: &mut [T]) {
    simd::wide(
        #[inline(always)]
        || {
            for place in y.chunks_exact_mut(b.len()) {
                for (y, b) in place.iter_mut().zip(b) {
                    *y += *b;
                }
            }
        },
    );
}

fn add<T: Float>(values: &[T], sums: &mut [T]) {
    simd::wide(
        #[inline(always)]
        || {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += *value;
            }
        },
    );
}

/// In the order of places.
fn sum_rows<T: Float>(dy: &[T], sums: &mut [T]) {
    sums.fill(T::zero());
    simd::wide(
        #[inline(always)]
        || {
            for place in dy.chunks_exact(sums.len()) {
                for (sum, dy) in sums.iter_mut().zip(place) {
                    *sum += *dy;
                }
            }
        },
    );
}

#[cfg(test)]
mod tests;
