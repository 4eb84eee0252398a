//! A convolution and the max_pool after it, a few pictures at a time, so that what lies between them stays
//! in cache and needs no memory: neither's backward pass reads it.

use super::{BLOCK, Conv2d, Scratch, Sums, collect};
use crate::Float;
use crate::ops::window::Window;
use crate::ops::{max_pool, room};

/// Both in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooled {
    /// The first.
    pub conv: Conv2d,
    /// Slides over the convolution's output.
    pub pool: Window,
}

/// Overwrites y and `taps`, as max_pool does.
pub fn forward<T: Float>(
    layer: &Pooled,
    w: &[T],
    b: Option<&[T]>,
    x: &[T],
    (y, taps): (&mut [T], &mut [u32]),
    scratch: &mut Scratch<T>,
) {
    let Pooled { conv, pool } = layer;
    let Scratch { block, between, .. } = scratch;
    let [inputs, outputs] = layer.chunks();
    block.spread(conv, w);
    for ((x, y), taps) in x.chunks(inputs).zip(y.chunks_mut(outputs)).zip(taps.chunks_mut(outputs)) {
        let between = room(between, layer.between(x));
        block.forward(conv, b, x, between);
        max_pool::forward(pool, between, y, taps);
    }
}

/// Overwrites dw and db with sums over rows and places, and dx if it is wanted.
#[allow(clippy::too_many_arguments, reason = "what a layer has, and its gradients")]
pub fn backward<T: Float>(
    layer: &Pooled,
    (dy, taps): (&[T], &[u32]),
    w: &[T],
    x: &[T],
    dw: &mut [T],
    db: Option<&mut [T]>,
    dx: Option<&mut [T]>,
    scratch: &mut Scratch<T>,
) {
    let Pooled { conv, pool } = layer;
    let Scratch { block, total, between } = scratch;
    let [inputs, outputs] = layer.chunks();
    block.spread(conv, w);
    let mut sums = Sums::zero(room(total, dw.len()), db);
    let mut dx = dx.map(|dx| dx.chunks_mut(inputs));
    for ((x, dy), taps) in x.chunks(inputs).zip(dy.chunks(outputs)).zip(taps.chunks(outputs)) {
        let between = room(between, layer.between(x));
        max_pool::backward(pool, dy, taps, between);
        block.backward(conv, between, x, &mut sums, dx.as_mut().and_then(Iterator::next));
    }
    collect(conv, sums.weights, dw);
}

impl Pooled {
    /// Values of x and of y in a few pictures.
    fn chunks(&self) -> [usize; 2] {
        let pictures = (BLOCK / self.pool.picture()).max(1);
        [self.conv.window.picture(), self.pool.places() * self.pool.channels].map(|size| pictures * size)
    }

    /// Values between the two for these pictures.
    fn between<T>(&self, x: &[T]) -> usize {
        x.len() / self.conv.window.picture() * self.pool.picture()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{close, values};
    use crate::ops::conv2d;

    /// 7 pictures, of which 5 are a chunk.
    #[test]
    fn both_in_a_row_are_each_after_the_other() {
        let window = Window { channels: 2, height: 20, width: 18, kernel: 3, stride: 1, padding: 1 };
        let conv = Conv2d { window, outputs: 70 };
        let pool = Window { channels: 70, kernel: 2, stride: 2, padding: 0, ..window };
        let layer = Pooled { conv, pool };
        assert_eq!(layer.chunks()[0], 5 * window.picture());
        let x = values::<f64>(7 * window.picture(), 1, 1.0);
        let (w, b) = (values::<f64>(70 * window.area(), 2, 1.0), values::<f64>(70, 3, 1.0));
        let dy = values::<f64>(7 * pool.places() * 70, 4, 1.0);

        let mut scratch = Scratch::default();
        let (mut between, mut y, mut taps) = (vec![0.0; 7 * pool.picture()], dy.clone(), vec![0; dy.len()]);
        conv2d::forward(&conv, &w, Some(&b), &x, &mut between, &mut scratch);
        max_pool::forward(&pool, &between, &mut y, &mut taps);
        let (mut dw, mut db, mut dx) = (w.clone(), b.clone(), x.clone());
        max_pool::backward(&pool, &dy, &taps, &mut between);
        let wanted = Some(dx.as_mut_slice());
        conv2d::backward(&conv, &between, &w, &x, &mut dw, Some(&mut db), wanted, &mut scratch);

        let nan = |values: &[f64]| vec![f64::NAN; values.len()];
        let (mut y_, mut taps_) = (nan(&y), vec![u32::MAX; taps.len()]);
        forward(&layer, &w, Some(&b), &x, (&mut y_, &mut taps_), &mut scratch);
        let (mut dw_, mut db_, mut dx_) = (nan(&w), nan(&b), nan(&x));
        let wanted = Some(dx_.as_mut_slice());
        backward(&layer, (&dy, &taps_), &w, &x, &mut dw_, Some(&mut db_), wanted, &mut scratch);
        close("y", &y_, &y, 1e-12);
        assert_eq!(taps_, taps);
        close("dw", &dw_, &dw, 1e-12);
        close("db", &db_, &db, 1e-12);
        close("dx", &dx_, &dx, 1e-12);
    }
}
