//! y\[o, p\] = b\[o\] + Σ w\[o, c, i, j\] · x\[c, p·stride + (i, j) - padding\], as `torch.nn.Conv2d`.
//!
//! By products: with the windows written out as the rows of X \[places, kernel·kernel·inputs\] and the
//! weights as W \[kernel·kernel·inputs, outputs\], Y = X W + b, dW = Xᵀ dY, db = Σ dY and dX = dY Wᵀ,
//! each pixel the sum over the windows that it is in. X is made for a block of places at a time, which
//! stays in cache from the writing to the product, and again in the backward pass: it has kernel² times
//! the values of x.

mod columns;
pub mod pooled;

use std::ops::Range;

use crate::ops::room;
use crate::ops::window::Window;
use crate::{Float, product, simd};

pub use pooled::Pooled;

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
    block: Block<T>,
    /// The gradient of W so far.
    total: Vec<T>,
    /// Y of a few pictures, where it is not kept, or its gradient.
    between: Vec<T>,
}

/// What the products of one block need besides x and y.
#[derive(Clone, Debug, Default)]
struct Block<T> {
    /// W
    weights: Vec<T>,
    /// X, or its gradient.
    columns: Vec<T>,
    /// The block's part of dW or db.
    sums: Vec<T>,
}

/// dW so far, and db.
struct Sums<'a, T> {
    weights: &'a mut [T],
    bias: Option<&'a mut [T]>,
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
    scratch.block.spread(conv, w);
    scratch.block.forward(conv, b, x, y);
}

/// Overwrites dw and db with sums over rows and places, block after block, and dx if it is wanted.
#[allow(clippy::too_many_arguments, reason = "what a layer has, and its gradients")]
pub fn backward<T: Float>(
    conv: &Conv2d,
    dy: &[T],
    w: &[T],
    x: &[T],
    dw: &mut [T],
    db: Option<&mut [T]>,
    dx: Option<&mut [T]>,
    scratch: &mut Scratch<T>,
) {
    let Scratch { block, total, .. } = scratch;
    block.spread(conv, w);
    let mut sums = Sums::zero(room(total, dw.len()), db);
    block.backward(conv, dy, x, &mut sums, dx);
    collect(conv, sums.weights, dw);
}

impl<T: Float> Block<T> {
    fn spread(&mut self, conv: &Conv2d, w: &[T]) {
        spread(conv, w, room(&mut self.weights, w.len()));
    }

    fn forward(&mut self, conv: &Conv2d, b: Option<&[T]>, x: &[T], y: &mut [T]) {
        let (area, outputs) = (conv.window.area(), conv.outputs);
        let weights = &self.weights[..area * outputs];
        for places in conv.blocks(y.len()) {
            let y = &mut y[places.start * outputs..places.end * outputs];
            let columns = room(&mut self.columns, places.len() * area);
            columns::gather(&conv.window, x, places.clone(), columns);
            product::times(columns, weights, y, places.len(), area, outputs);
            if let Some(b) = b {
                add_bias(b, y);
            }
        }
    }

    /// Adds to the sums; overwrites dx.
    fn backward(
        &mut self,
        conv: &Conv2d,
        dy: &[T],
        x: &[T],
        sums: &mut Sums<'_, T>,
        mut dx: Option<&mut [T]>,
    ) {
        let (area, outputs) = (conv.window.area(), conv.outputs);
        let weights = &self.weights[..area * outputs];
        let block_sums = room(&mut self.sums, weights.len().max(outputs));
        if let Some(dx) = &mut dx {
            dx.fill(T::zero());
        }
        for places in conv.blocks(dy.len()) {
            let dy = &dy[places.start * outputs..places.end * outputs];
            let columns = room(&mut self.columns, places.len() * area);
            columns::gather(&conv.window, x, places.clone(), columns);
            let part = &mut block_sums[..weights.len()];
            product::transposed_times(columns, dy, part, area, places.len(), outputs);
            add(part, sums.weights);
            if let Some(bias) = &mut sums.bias {
                let part = &mut block_sums[..outputs];
                sum_rows(dy, part);
                add(part, bias);
            }
            if let Some(dx) = &mut dx {
                product::times_transposed(dy, weights, columns, places.len(), outputs, area);
                columns::scatter(&conv.window, columns, places, dx);
            }
        }
    }
}

impl<'a, T: Float> Sums<'a, T> {
    fn zero(weights: &'a mut [T], mut bias: Option<&'a mut [T]>) -> Self {
        weights.fill(T::zero());
        if let Some(bias) = &mut bias {
            bias.fill(T::zero());
        }
        Self { weights, bias }
    }
}

impl Conv2d {
    /// The places of so many values of y, in blocks of about one size.
    fn blocks(&self, values: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let places = values / self.outputs;
        let most = (BLOCK / (self.window.area() + self.outputs)).max(LEAST_PLACES);
        let size = places.div_ceil(places.div_ceil(most).max(1)).max(1);
        (0..places).step_by(size).map(move |start| start..(start + size).min(places))
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
