//! Which classes are taken for which.

use serde::Serialize;

/// The confusion matrix: how often each class was taken for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

/// A class as a binary question. A share of nothing is 0, as in scikit-learn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Class {
    /// Of the rows taken for the class, the share that is of it.
    pub precision: f64,
    /// Of the rows of the class, the share that was taken for it.
    pub recall: f64,
    /// The harmonic mean of precision and recall.
    pub f1: f64,
    /// Rows of the class.
    pub rows: u64,
}

impl Confusion {
    /// Without rows yet.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes.saturating_mul(classes)] }
    }

    /// Counts a row; one of a class that does not exist is not counted.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        if truth.max(predicted) < self.classes {
            let place = truth * self.classes + predicted;
            self.counts.iter_mut().skip(place).take(1).for_each(|count| *count += 1);
        }
    }

    /// Rows of the class `truth` that were taken for `predicted`.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        let row = self.rows().nth(truth).unwrap_or_default();
        row.get(predicted).copied().unwrap_or_default()
    }

    /// A row for each true class, in it a count for each predicted one.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.counts.chunks_exact(self.classes.max(1))
    }

    /// Each class for itself.
    pub fn classes(&self) -> Vec<Class> {
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let each = self.rows().enumerate().map(|(class, row)| {
            let hits = self.count(class, class);
            let rows: u64 = row.iter().sum();
            let taken: u64 = self.rows().filter_map(|row| row.get(class)).sum();
            let (precision, recall) = (share(hits, taken), share(hits, rows));
            Class { precision, recall, f1: share(2 * hits, taken + rows), rows }
        });
        each.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of scikit-learn's `confusion_matrix`; its matrix, and precision, recall and F1 by hand.
    #[test]
    fn counts_by_hand() {
        let mut confusion = Confusion::new(3);
        for (truth, predicted) in [(2, 0), (0, 0), (2, 2), (2, 2), (0, 0), (1, 2)] {
            confusion.add(truth, predicted);
        }
        assert_eq!(confusion.rows().collect::<Vec<_>>(), [[2, 0, 0], [0, 0, 1], [1, 0, 2]]);
        let class = |precision, recall, f1, rows| Class { precision, recall, f1, rows };
        let third = 2.0 / 3.0;
        assert_eq!(
            confusion.classes(),
            [class(third, 1.0, 0.8, 2), class(0.0, 0.0, 0.0, 1), class(third, third, third, 3)]
        );
        confusion.add(3, 0);
        confusion.add(0, 3);
        assert_eq!(confusion.rows().flatten().sum::<u64>(), 6);
        assert_eq!((confusion.count(2, 0), confusion.count(0, 3)), (1, 0));
        assert_eq!(Confusion::new(0).classes(), []);
    }
}
