//! A row's indices, each replaced by its vector of a table: `torch.nn.Embedding` for each, concatenated in
//! the columns' order with the row's other numbers.
//!
//! ```text
//! x      0.3 │ 2 │ -1.1          a row as it comes: the second column is an index
//! y      0.3 │ 0.5 0.1 -2.0 │ -1.1          its table's vector 2, of width 3
//! ```
//!
//! The tables lie end to end, each \[values, width\]. dL/d(table) is the sum of dy over the rows that name a
//! vector, in row order.

use serde::{Deserialize, Serialize};

use crate::Float;

/// A column of a row that is an index.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    /// The column, whose table is `embeddings.NAME.weight`.
    pub name: String,
    /// Where in the row.
    pub place: usize,
    /// How many vectors there are, that of all other values too.
    pub values: usize,
    /// How long a vector is.
    pub width: usize,
}

/// The most vectors of a table: every index is exact as f32.
pub const MOST_VALUES: usize = 1 << 24;

/// A number as an index below `values`; nothing if it is none.
pub fn index<T: Float>(number: T, values: usize) -> Option<usize> {
    let number = number.to_f64();
    // Also false for NaN.
    let fits = number >= 0.0 && number < values as f64;
    fits.then_some(number as usize).filter(|index| *index as f64 == number)
}

/// Overwrites y \[rows, width after\] by x \[rows, `inputs`\]. An index that is none gives NaN in its place.
///
/// `embeddings` are in ascending order of places below `inputs`, as [`crate::model::Model`] checks.
pub fn forward<T: Float>(embeddings: &[Embedding], tables: &[T], x: &[T], y: &mut [T], inputs: usize) {
    let outputs = outputs(embeddings, inputs);
    for (x, y) in x.chunks_exact(inputs.max(1)).zip(y.chunks_exact_mut(outputs.max(1))) {
        let (mut from, mut to, mut tables) = (0, 0, tables);
        for Embedding { place, values, width, .. } in embeddings {
            let plain = place - from;
            y[to..to + plain].copy_from_slice(&x[from..*place]);
            to += plain;
            let (table, rest) = tables.split_at(values * width);
            match index(x[*place], *values) {
                Some(index) => y[to..to + width].copy_from_slice(&table[index * width..(index + 1) * width]),
                None => y[to..to + width].fill(T::from_f64(f64::NAN)),
            }
            (from, to, tables) = (place + 1, to + width, rest);
        }
        y[to..].copy_from_slice(&x[from..]);
    }
}

/// Overwrites `sums`, of the tables' length, with Σ dy over rows. An index that is none adds to nothing.
pub fn backward<T: Float>(embeddings: &[Embedding], dy: &[T], x: &[T], sums: &mut [T], inputs: usize) {
    sums.fill(T::zero());
    let outputs = outputs(embeddings, inputs);
    let (mut from, mut to, mut sums) = (0, 0, sums);
    for Embedding { place, values, width, .. } in embeddings {
        to += place - from;
        let (table, rest) = sums.split_at_mut(values * width);
        for (x, dy) in x.chunks_exact(inputs.max(1)).zip(dy.chunks_exact(outputs.max(1))) {
            let Some(index) = index(x[*place], *values) else { continue };
            for (sum, dy) in table[index * width..(index + 1) * width].iter_mut().zip(&dy[to..to + width]) {
                *sum += *dy;
            }
        }
        (from, to, sums) = (place + 1, to + width, rest);
    }
}

/// Values in a row after it.
pub fn outputs(embeddings: &[Embedding], inputs: usize) -> usize {
    embeddings.iter().fold(inputs, |all, embedding| all - 1 + embedding.width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{close, differences, values, widened};

    fn embedding(place: usize, values: usize, width: usize) -> Embedding {
        Embedding { name: format!("c{place}"), place, values, width }
    }

    /// Two that touch, one at either end, one alone.
    fn cases() -> Vec<(usize, Vec<Embedding>)> {
        vec![
            (5, vec![embedding(1, 4, 3), embedding(2, 2, 1)]),
            (4, vec![embedding(0, 3, 2), embedding(3, 5, 4)]),
            (1, vec![embedding(0, 7, 2)]),
        ]
    }

    fn rows<T: Float>(inputs: usize, embeddings: &[Embedding]) -> Vec<T> {
        let mut x = values::<T>(6 * inputs, 3, 1.0);
        for (row, x) in x.chunks_exact_mut(inputs).enumerate() {
            // Some vectors are named twice, some never.
            embeddings.iter().for_each(|of| x[of.place] = T::from_f64((row * row % of.values) as f64));
        }
        x
    }

    fn sizes(inputs: usize, embeddings: &[Embedding]) -> (usize, usize) {
        (embeddings.iter().map(|of| of.values * of.width).sum(), outputs(embeddings, inputs))
    }

    fn run<T: Float>(inputs: usize, embeddings: &[Embedding]) -> (Vec<T>, Vec<T>) {
        let (tables, outputs) = sizes(inputs, embeddings);
        let x = rows::<T>(inputs, embeddings);
        let mut y = vec![T::from_f64(f64::NAN); 6 * outputs];
        forward(embeddings, &values(tables, 1, 1.0), &x, &mut y, inputs);
        let mut sums = vec![T::from_f64(f64::NAN); tables];
        backward(embeddings, &values(6 * outputs, 2, 1.0), &x, &mut sums, inputs);
        (y, sums)
    }

    #[test]
    fn gradients_are_those_of_differences() {
        for (inputs, embeddings) in cases() {
            let (len, outputs) = sizes(inputs, &embeddings);
            let (tables, dy) = (values::<f64>(len, 1, 1.0), values::<f64>(6 * outputs, 2, 1.0));
            let (_, sums) = run::<f64>(inputs, &embeddings);
            differences("tables", &tables, &sums, |tables| {
                let mut y = vec![0.0; 6 * outputs];
                forward(&embeddings, tables, &rows(inputs, &embeddings), &mut y, inputs);
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
            });
        }
    }

    #[test]
    fn f32_agrees_with_f64() {
        for (inputs, embeddings) in cases() {
            let (narrow, wide) = (run::<f32>(inputs, &embeddings), run::<f64>(inputs, &embeddings));
            close("y", &widened(&narrow.0), &wide.0, 1e-7);
            close("sums", &widened(&narrow.1), &wide.1, 1e-6);
        }
    }

    // import torch
    // torch.set_default_dtype(torch.float64)
    // a = torch.tensor([[1., 2.], [3., 4.], [5., 6.]], requires_grad=True)
    // b = torch.tensor([[-1.], [-2.]], requires_grad=True)
    // x = torch.tensor([[0.5, 2., 1.], [0.25, 0., 0.], [8., 2., 1.]])
    // f = torch.nn.functional
    // y = torch.cat([x[:, :1], f.embedding(x[:, 1].long(), a), f.embedding(x[:, 2].long(), b)], 1)
    // y.backward(torch.arange(1., 13.).reshape(3, 4))
    // for t in (y, a.grad, b.grad): print(t.flatten().tolist())
    #[test]
    fn golden() {
        let embeddings = [embedding(1, 3, 2), embedding(2, 2, 1)];
        let x = [0.5, 2.0, 1.0, 0.25, 0.0, 0.0, 8.0, 2.0, 1.0];
        let (mut y, mut sums) = ([0.0; 12], [9.0; 8]);
        forward(&embeddings, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -1.0, -2.0], &x, &mut y, 3);
        assert_eq!(y, [0.5, 5.0, 6.0, -2.0, 0.25, 1.0, 2.0, -1.0, 8.0, 5.0, 6.0, -2.0]);
        let dy: Vec<f64> = (1..13).map(f64::from).collect();
        backward(&embeddings, &dy, &x, &mut sums, 3);
        assert_eq!(sums, [6.0, 7.0, 0.0, 0.0, 12.0, 14.0, 8.0, 16.0]);
    }

    #[test]
    fn what_is_no_index_is_nan_and_adds_nothing() {
        let embeddings = [embedding(0, 2, 1)];
        let bad = [-1.0, 2.0, 0.5, 1e30, f32::NAN, f32::INFINITY];
        let (mut y, mut sums) = ([0.0; 6], [9.0; 2]);
        forward(&embeddings, &[1.0, 2.0], &bad, &mut y, 1);
        assert!(y.iter().all(|y| y.is_nan()));
        backward(&embeddings, &[1.0; 6], &bad, &mut sums, 1);
        assert_eq!(sums, [0.0; 2]);
        assert_eq!(index(-0.0f32, 2), Some(0));
        assert_eq!(index((MOST_VALUES - 1) as f32, MOST_VALUES), Some(MOST_VALUES - 1));
    }
}
