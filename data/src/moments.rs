//! Mean and deviation of a column, the same however its rows are cut into blocks.
//!
//! Rows are cut into pieces of 4,096 by their number; within a piece values are added one by one
//! (Welford 1962), pieces are merged in a binary tree over piece numbers (Chan, Golub, LeVeque 1979).

/// Rows in a piece.
const PIECE: u64 = 4096;

/// Count, mean and the sum of squared deviations from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let before = value - self.mean;
        self.mean += before / self.count;
        self.squares += before * (value - self.mean);
    }

    fn merge(self, right: Self) -> Self {
        if self.count == 0.0 {
            return right;
        }
        if right.count == 0.0 {
            return self;
        }
        let count = self.count + right.count;
        let apart = right.mean - self.mean;
        Self {
            count,
            mean: self.mean + apart * (right.count / count),
            squares: self.squares + right.squares + apart * apart * (self.count * right.count / count),
        }
    }
}

/// A column, row by row.
#[derive(Debug, Default)]
pub(crate) struct ColumnMoments {
    piece: Moments,
    /// The number of that piece.
    number: u64,
    /// Finished subtrees from left to right, each with its level; levels fall.
    subtrees: Vec<(u32, Moments)>,
}

impl ColumnMoments {
    /// Adds the value of a row; rows come in order, some perhaps not at all.
    pub(crate) fn add(&mut self, row: u64, value: f64) {
        while self.number < row / PIECE {
            self.close_piece();
            self.number += 1;
        }
        self.piece.add(value);
    }

    fn close_piece(&mut self) {
        let mut right = (0, std::mem::take(&mut self.piece));
        while let Some(left) = self.subtrees.pop_if(|left| left.0 == right.0) {
            right = (left.0 + 1, left.1.merge(right.1));
        }
        self.subtrees.push(right);
    }

    /// Mean, and the deviation over all rows (divided by their count, not by one less).
    pub(crate) fn finish(mut self) -> (f64, f64) {
        self.close_piece();
        let whole =
            self.subtrees.into_iter().rev().fold(Moments::default(), |right, (_, left)| left.merge(right));
        (whole.mean, (whole.squares / whole.count.max(1.0)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = Option<f64>>) -> (f64, f64) {
        let mut column = ColumnMoments::default();
        for (row, value) in values.into_iter().enumerate() {
            if let Some(value) = value {
                column.add(row as u64, value);
            }
        }
        column.finish()
    }

    /// Against the two-pass formula, over enough rows for an uneven tree, also with rows held out and
    /// with a mean that is large beside the deviation.
    #[test]
    fn mean_and_deviation() {
        for rows in [1u32, 2, 4095, 4096, 4097, 3 * 4096 + 5, 7 * 4096] {
            for held in [1, 3] {
                let values: Vec<Option<f64>> = (0..rows)
                    .map(|i| (held == 1 || i % held != 1).then(|| 1e6 + f64::from(i * 7919 % 1009)))
                    .collect();
                let there: Vec<f64> = values.iter().copied().flatten().collect();
                let mean = there.iter().sum::<f64>() / there.len() as f64;
                let squares: f64 = there.iter().map(|x| (x - mean) * (x - mean)).sum();
                let (found_mean, found) = of(values);
                assert!((found_mean - mean).abs() < 1e-8, "{rows} {held}");
                assert!((found - (squares / there.len() as f64).sqrt()).abs() < 1e-8, "{rows} {held}");
            }
        }
    }

    #[test]
    fn a_constant_column_has_no_deviation() {
        for value in [0.1, 1e300, -7.0] {
            assert_eq!(of(vec![Some(value); 10_000]), (value, 0.0));
        }
    }

    /// Three pieces are (0 + 1) + 2, not 0 + (1 + 2).
    #[test]
    fn pieces_merge_in_the_tree() {
        let piece = |scale: f64| {
            let mut moments = Moments::default();
            (0..PIECE).for_each(|i| moments.add(scale / (i as f64 + 1.0)));
            moments
        };
        let (a, b, c) = (piece(0.1), piece(0.7), piece(1e3));
        let expected = a.merge(b).merge(c);
        let values = [0.1, 0.7, 1e3]
            .into_iter()
            .flat_map(|scale| (0..PIECE).map(move |i| Some(scale / (i as f64 + 1.0))));
        assert_eq!(of(values), (expected.mean, (expected.squares / expected.count).sqrt()));
        assert_ne!(expected, a.merge(b.merge(c)));
    }
}
