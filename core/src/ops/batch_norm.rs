//! y = w x̂ + b with x̂ = (x - mean)/√(variance + eps), a channel at a time, as `torch.nn.BatchNorm1d` and
//! `BatchNorm2d`.
//!
//! In training, mean and variance are those of the values at hand (Ioffe and Szegedy, 2015), the variance
//! Σ (x - mean)²/n, which is 0 for one value; in an evaluation they are the running ones. dw = Σ dy x̂ and
//! db = Σ dy over the channel's values, and dx = w (dy - db/n - x̂ dw/n)/√(variance + eps).
//!
//! Channels lie last: x is \[n, channels\], n being rows, or rows and pixels. Sums are f64.

use crate::{Float, simd};

/// The channels, and what is added to their variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// At least 1.
    pub channels: usize,
    /// Above 0.
    pub eps: f64,
}

/// Columns that are done side by side, with their sums in registers. Of fewer channels, several lines of x
/// are taken as one; the sums' order thus depends on the channels alone.
const COLUMNS: usize = 16;

/// Up to [`COLUMNS`] neighbouring columns of lines of `width` values.
#[derive(Clone, Copy)]
struct Block {
    channels: usize,
    width: usize,
    first: usize,
    len: usize,
}

/// A value for each column.
type Columns<T> = [T; COLUMNS];

/// Overwrites y, and `statistics` \[2, channels\] with each channel's mean and Σ (x - mean)². `w` and `b`
/// are empty, or \[channels\].
pub fn forward<T: Float>(norm: &BatchNorm, w: &[T], b: &[T], x: &[T], y: &mut [T], statistics: &mut [T]) {
    let n = (x.len() / norm.channels) as f64;
    let (means, squares) = statistics.split_at_mut(norm.channels);
    simd::wide(
        #[inline(always)]
        || {
            for block in blocks(norm.channels) {
                let sum = block.sum(
                    x,
                    x,
                    &[0.0; COLUMNS],
                    #[inline(always)]
                    |x, _, _| x.to_f64(),
                );
                let mean = sum.map(|sum| sum / n);
                let square = block.sum(
                    x,
                    x,
                    &mean,
                    #[inline(always)]
                    |x, _, mean| (x.to_f64() - mean) * (x.to_f64() - mean),
                );
                block.store(&mean, means);
                block.store(&square, squares);
                block.normalise(norm, n, [w, b, means, squares], x, y);
            }
        },
    );
}

/// Overwrites y; `mean` and `variance` are the running ones.
pub fn evaluate<T: Float>(
    norm: &BatchNorm,
    w: &[T],
    b: &[T],
    (mean, variance): (&[T], &[T]),
    x: &[T],
    y: &mut [T],
) {
    simd::wide(
        #[inline(always)]
        || {
            for block in blocks(norm.channels) {
                block.normalise(norm, 1.0, [w, b, mean, variance], x, y);
            }
        },
    );
}

/// Overwrites dw and db \[channels\] if there are any, and turns dL/dy into dL/dx in place. `statistics`
/// are those that [`forward`] left.
pub fn backward<T: Float>(
    norm: &BatchNorm,
    w: &[T],
    x: &[T],
    statistics: &[T],
    dy: &mut [T],
    parameters: Option<(&mut [T], &mut [T])>,
) {
    let n = (x.len() / norm.channels) as f64;
    let (means, squares) = statistics.split_at(norm.channels);
    let (mut dw, mut db) = parameters.unzip();
    simd::wide(
        #[inline(always)]
        || {
            for block in blocks(norm.channels) {
                let mean = block.each(|channel| means[channel]);
                let scale = block.each(|channel| norm.scale(squares[channel], n));
                let sums = block.sum(
                    dy,
                    dy,
                    &mean,
                    #[inline(always)]
                    |dy, _, _| dy.to_f64(),
                );
                let mut products = block.sum(
                    x,
                    dy,
                    &mean,
                    #[inline(always)]
                    |x, dy, mean| dy.to_f64() * (x - mean).to_f64(),
                );
                products.iter_mut().zip(scale).for_each(|(product, scale)| *product *= scale.to_f64());
                if let (Some(dw), Some(db)) = (&mut dw, &mut db) {
                    block.store(&products, dw);
                    block.store(&sums, db);
                }
                let sum = sums.map(|sum| T::from_f64(sum / n));
                let mut slope = products.map(|product| T::from_f64(product / n));
                slope.iter_mut().zip(scale).for_each(|(slope, scale)| *slope *= scale);
                let mut weight = block.each(|channel| w.get(channel).copied().unwrap_or(T::one()));
                weight.iter_mut().zip(scale).for_each(|(weight, scale)| *weight *= scale);
                block.map(
                    x,
                    dy,
                    [&mean, &sum, &slope, &weight],
                    #[inline(always)]
                    |x, dy, [mean, sum, slope, weight]| (dy - sum - (x - mean) * slope) * weight,
                );
            }
        },
    );
}

impl BatchNorm {
    #[inline(always)]
    fn scale<T: Float>(&self, squares: T, n: f64) -> T {
        T::from_f64(1.0 / (squares.to_f64() / n + self.eps).sqrt())
    }
}

/// A column of each.
#[inline(always)]
fn at<T: Float>(columns: [&Columns<T>; 4], column: usize) -> [T; 4] {
    let [a, b, c, d] = columns;
    [a[column], b[column], c[column], d[column]]
}

#[inline(always)]
fn blocks(channels: usize) -> impl Iterator<Item = Block> {
    let width = channels * (COLUMNS / channels).max(1);
    (0..width).step_by(COLUMNS).map(move |first| Block {
        channels,
        width,
        first,
        len: COLUMNS.min(width - first),
    })
}

impl Block {
    /// Of every column, what `of` gives for its channel.
    #[inline(always)]
    fn each<T: Float>(self, of: impl Fn(usize) -> T) -> Columns<T> {
        let mut columns = [T::zero(); COLUMNS];
        for (column, value) in columns[..self.len].iter_mut().enumerate() {
            *value = of((self.first + column) % self.channels);
        }
        columns
    }

    /// Σ of(a, b, the column's c) over each channel's values, in all of its columns.
    #[inline(always)]
    fn sum<T: Float, C: Copy>(
        self,
        a: &[T],
        b: &[T],
        c: &Columns<C>,
        of: impl Fn(T, T, C) -> f64,
    ) -> Columns<f64> {
        let mut sums = [0.0; COLUMNS];
        for (a, b) in a.chunks(self.width).zip(b.chunks(self.width)) {
            let (a, b) = (&a[self.first..], &b[self.first..]);
            if let (Some(a), Some(b)) = (a.first_chunk::<COLUMNS>(), b.first_chunk::<COLUMNS>()) {
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum += of(a[i], b[i], c[i]);
                }
                continue;
            }
            // The last columns of a line, or the last line where it is several of x.
            for ((sum, c), (a, b)) in sums.iter_mut().zip(c).zip(a.iter().zip(b)) {
                *sum += of(*a, *b, *c);
            }
        }
        for column in self.channels..self.len {
            sums[column % self.channels] += sums[column];
        }
        for column in self.channels..self.len {
            sums[column] = sums[column % self.channels];
        }
        sums
    }

    /// Overwrites b with of(a, b, the column's c).
    #[inline(always)]
    fn map<T: Float>(self, a: &[T], b: &mut [T], c: [&Columns<T>; 4], of: impl Fn(T, T, [T; 4]) -> T) {
        for (a, b) in a.chunks(self.width).zip(b.chunks_mut(self.width)) {
            let (a, b) = (&a[self.first..], &mut b[self.first..]);
            if let (Some(a), Some(b)) = (a.first_chunk::<COLUMNS>(), b.first_chunk_mut::<COLUMNS>()) {
                for (i, b) in b.iter_mut().enumerate() {
                    *b = of(a[i], *b, at(c, i));
                }
                continue;
            }
            for (i, (a, b)) in (0..COLUMNS).zip(a.iter().zip(b)) {
                *b = of(*a, *b, at(c, i));
            }
        }
    }

    /// Writes the channels of the columns.
    #[inline(always)]
    fn store<T: Float>(self, columns: &Columns<f64>, channels: &mut [T]) {
        for (value, column) in channels[self.first..].iter_mut().zip(columns) {
            *value = T::from_f64(*column);
        }
    }

    /// The variance is squares / n.
    #[inline(always)]
    fn normalise<T: Float>(
        self,
        norm: &BatchNorm,
        n: f64,
        [w, b, means, squares]: [&[T]; 4],
        x: &[T],
        y: &mut [T],
    ) {
        let mean = self.each(|channel| means[channel]);
        let scale = self.each(|channel| norm.scale(squares[channel], n));
        let weight = self.each(|channel| w.get(channel).copied().unwrap_or(T::one()));
        let bias = self.each(|channel| b.get(channel).copied().unwrap_or(T::zero()));
        self.map(
            x,
            y,
            [&mean, &scale, &weight, &bias],
            #[inline(always)]
            |x, _, [mean, scale, weight, bias]| (x - mean) * scale * weight + bias,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{close, differences, values, widened};

    /// (y, dw, db, dx, statistics) for dL/dy = dy.
    fn run<T: Float>(norm: &BatchNorm, [w, b, x, dy]: [&[T]; 4]) -> [Vec<T>; 5] {
        let nan = |len| vec![T::from_f64(f64::NAN); len];
        let (mut y, mut dw, mut db, mut dx) = (nan(x.len()), nan(w.len()), nan(b.len()), dy.to_vec());
        let mut statistics = nan(2 * norm.channels);
        forward(norm, w, b, x, &mut y, &mut statistics);
        let parameters = (!w.is_empty()).then_some((dw.as_mut_slice(), db.as_mut_slice()));
        backward(norm, w, x, &statistics, &mut dx, parameters);
        [y, dw, db, dx, statistics]
    }

    /// (channels, values of a channel): few and many channels, whole lines and parts of one.
    const SHAPES: [(usize, usize); 7] = [(1, 1), (1, 70), (3, 43), (5, 2), (33, 3), (64, 2), (150, 4)];

    fn norm(channels: usize) -> BatchNorm {
        BatchNorm { channels, eps: 0.01 }
    }

    fn arguments<T: Float>(channels: usize, n: usize) -> [Vec<T>; 4] {
        let len = channels * n;
        [values(channels, 1, 1.0), values(channels, 2, 1.0), values(len, 3, 1.0), values(len, 4, 1.0)]
    }

    #[test]
    fn gradients_are_those_of_differences() {
        for (channels, n) in SHAPES {
            let norm = norm(channels);
            let [w, b, x, dy] = arguments::<f64>(channels, n);
            let [_, dw, db, dx, _] = run(&norm, [&w, &b, &x, &dy]);
            let loss = |w: &[f64], b: &[f64], x: &[f64]| {
                let [y, ..] = run(&norm, [w, b, x, &dy]);
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
            };
            differences("dw", &w, &dw, |w| loss(w, &b, &x));
            differences("db", &b, &db, |b| loss(&w, b, &x));
            differences("dx", &x, &dx, |x| loss(&w, &b, x));
            let [.., dx, _] = run(&norm, [&[], &[], &x, &dy]);
            differences("dx without parameters", &x, &dx, |x| loss(&[], &[], x));
        }
    }

    #[test]
    fn statistics_are_those_of_each_channel() {
        for (channels, n) in SHAPES {
            let [w, b, x, dy] = arguments::<f64>(channels, n);
            let [.., statistics] = run(&norm(channels), [&w, &b, &x, &dy]);
            for channel in 0..channels {
                let own: Vec<f64> = x.iter().skip(channel).step_by(channels).copied().collect();
                let mean = own.iter().sum::<f64>() / n as f64;
                let squares = own.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
                let found = [statistics[channel], statistics[channels + channel]];
                close("statistics", &found, &[mean, squares], 1e-13);
            }
        }
    }

    #[test]
    fn f32_agrees_with_f64() {
        for (channels, n) in SHAPES {
            let (narrow, wide) = (arguments::<f32>(channels, n), arguments::<f64>(channels, n));
            let narrow = run(&norm(channels), narrow.each_ref().map(Vec::as_slice));
            let wide = run(&norm(channels), wide.each_ref().map(Vec::as_slice));
            for (narrow, wide) in narrow.iter().zip(&wide) {
                close("batch_norm", &widened(narrow), wide, 2e-5);
            }
        }
    }

    #[test]
    fn one_value_is_its_own_mean() {
        let [y, dw, db, dx, statistics] =
            run(&norm(2), [&[2.0, 3.0], &[0.5, -0.5], &[7.0, -1e30], &[1.0, 4.0]]);
        assert_eq!(y, [0.5, -0.5]);
        assert_eq!((dw, db, dx), (vec![0.0, 0.0], vec![1.0, 4.0], vec![0.0, 0.0]));
        assert_eq!(statistics, [7.0, -1e30, 0.0, 0.0]);
    }

    // import torch
    // torch.set_default_dtype(torch.float64)
    // m = torch.nn.BatchNorm2d(2, eps=1e-3)
    // m.weight.data, m.bias.data = torch.tensor([0.5, -2.]), torch.tensor([0.25, 1.])
    // x = torch.tensor([1., 2., 4., -1., 0.5, 3., 7., -2.]).reshape(2, 2, 1, 2).requires_grad_()  # rows, channels
    // y = m(x)
    // y.backward(torch.tensor([1., -2., 0.5, 3., -1., 4., 2., 0.25]).reshape(2, 2, 1, 2))
    // last = lambda t: t.permute(0, 2, 3, 1).flatten().tolist()
    // print(last(x), last(y), m.weight.grad.tolist(), m.bias.grad.tolist(), last(x.grad))
    // m.eval()
    // m.running_mean, m.running_var = torch.tensor([0.5, 1.5]), torch.tensor([2., 0.25])
    // print(last(m(x)))
    #[test]
    fn golden() {
        let norm = BatchNorm { channels: 2, eps: 1e-3 };
        let x = [1.0, 4.0, 2.0, -1.0, 0.5, 7.0, 3.0, -2.0];
        let dy = [1.0, 0.5, -2.0, 3.0, -1.0, 2.0, 4.0, 0.25];
        let (w, b) = ([0.5, -2.0], [0.25, 1.0]);
        let [y, dw, db, dx, _] = run(&norm, [&w, &b, &x, &dy]);
        let expected: [&[f64]; 4] = [
            &[
                -0.07529589360089828,
                -0.08862178932473075,
                0.4451775361605389,
                2.632932683987096,
                -0.33553260848161687,
                -1.7215544733118269,
                0.9656509659219761,
                3.1772435786494615,
            ],
            &[5.4649710124950905, 0.2721554473311827],
            &[2.0, 5.75],
            &[
                0.7228680141912198,
                0.5304496333134946,
                -1.5787623539898936,
                -0.8807230272612365,
                0.05202619411674648,
                -0.25577945432876287,
                0.8038681456819274,
                0.6060528482765047,
            ],
        ];
        for (found, expected) in [y, dw, db, dx].iter().zip(expected) {
            close("training", found, expected, 1e-14);
        }
        let mut y = [0.0; 8];
        evaluate(&norm, &w, &b, (&[0.5, 1.5], &[2.0, 0.25]), &x, &mut y);
        let expected = [
            0.42673251768872555,
            -8.98005980069749,
            0.7801975530661768,
            10.980059800697491,
            0.25,
            -20.95613156153448,
            1.133662588443628,
            14.972083720976487,
        ];
        close("evaluation", &y, &expected, 1e-14);
    }
}
