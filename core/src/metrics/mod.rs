//! What a model is worth on some rows.
//!
//! Rows are evaluated in pieces; each piece gives [`Sums`], which are added in piece order, so the digits
//! are the same whoever computed which piece. What needs all predictions at once is in [`Confusion`]
//! and [`binary`].

pub mod binary;
mod confusion;
mod metric;

pub use confusion::{Class, Confusion};
pub use metric::Metric;

use serde::{Deserialize, Serialize};

/// What a model predicts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// One of several classes.
    Classes,
    /// Numbers.
    Numbers {
        /// How much of the target's own unit one unit of what is learnt is: 1 if that is the target itself.
        unit: f64,
    },
}

/// Counts and sums over rows. A row with several outputs adds their means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Rows.
    pub rows: u64,
    /// Σ of the rows' weights, 1 each unless given.
    #[serde(deserialize_with = "number_or_null")]
    pub weight: f64,
    /// Σ weight · loss; everything else counts rows as they are.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
    /// Rows whose class was predicted.
    pub correct: u64,
    /// Σ |y - t|
    #[serde(deserialize_with = "number_or_null")]
    pub absolute_error: f64,
    /// Σ (y - t)²
    #[serde(deserialize_with = "number_or_null")]
    pub squared_error: f64,
    /// Σ t
    #[serde(deserialize_with = "number_or_null")]
    pub target: f64,
    /// Σ t²
    #[serde(deserialize_with = "number_or_null")]
    pub target_squared: f64,
}

/// JSON has no number for a sum that is not finite, and writes null.
fn number_or_null<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

impl Sums {
    /// Adds those of the next piece.
    pub fn add(&mut self, next: &Self) {
        self.rows = self.rows.saturating_add(next.rows);
        self.weight += next.weight;
        self.loss += next.loss;
        self.correct = self.correct.saturating_add(next.correct);
        self.absolute_error += next.absolute_error;
        self.squared_error += next.squared_error;
        self.target += next.target;
        self.target_squared += next.target_squared;
    }

    /// The metrics of these rows; `None` if there are none.
    pub fn report(&self, kind: Kind) -> Option<Report> {
        if self.rows == 0 {
            return None;
        }
        let rows = self.rows as f64;
        let loss = self.loss / self.weight;
        let none = Report { loss, accuracy: None, rmse: None, mae: None, r2: None };
        Some(match kind {
            Kind::Classes => Report { accuracy: Some(self.correct as f64 / rows), ..none },
            Kind::Numbers { unit } => {
                let deviation = self.target_squared - self.target * self.target / rows;
                Report {
                    rmse: Some((self.squared_error / rows).sqrt() * unit),
                    mae: Some(self.absolute_error / rows * unit),
                    r2: (deviation > 0.0).then(|| 1.0 - self.squared_error / deviation),
                    ..none
                }
            }
        })
    }
}

/// Metrics; those that the kind of model doesn't have are absent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The weighted mean of the rows' losses.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
    /// Share of rows whose class was predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// √ of the mean squared error, in the target's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmse: Option<f64>,
    /// The mean absolute error, in the target's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mae: Option<f64>,
    /// 1 - Σ(y-t)² / Σ(t-mean)²; absent if all targets are equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r2: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(y: f64, t: f64) -> Sums {
        Sums {
            rows: 1,
            weight: 1.0,
            loss: (y - t) * (y - t),
            correct: u64::from(y == t),
            absolute_error: (y - t).abs(),
            squared_error: (y - t) * (y - t),
            target: t,
            target_squared: t * t,
        }
    }

    fn sums(pairs: &[(f64, f64)]) -> Sums {
        let mut sums = Sums::default();
        pairs.iter().for_each(|(y, t)| sums.add(&row(*y, *t)));
        sums
    }

    /// The example of scikit-learn's `r2_score`: y = [2.5, 0, 2, 8], t = [3, -0.5, 2, 7], of which it
    /// prints 0.948…; by hand: squared errors sum to 1.5, targets' squared deviations to 29.1875.
    #[test]
    fn numbers_by_hand() {
        let sums = sums(&[(2.5, 3.0), (0.0, -0.5), (2.0, 2.0), (8.0, 7.0)]);
        let report = sums.report(Kind::Numbers { unit: 1.0 }).unwrap();
        assert_eq!(report.loss, 0.375);
        assert_eq!(report.mae, Some(0.5));
        assert_eq!(report.rmse, Some(0.375_f64.sqrt()));
        assert!((report.r2.unwrap() - (1.0 - 1.5 / 29.1875)).abs() < 1e-15);
        assert_eq!(report.accuracy, None);
    }

    #[test]
    fn errors_are_in_the_targets_unit() {
        let sums = sums(&[(2.5, 3.0), (0.0, -0.5), (2.0, 2.0), (8.0, 7.0)]);
        let own = sums.report(Kind::Numbers { unit: 1.0 }).unwrap();
        let scaled = sums.report(Kind::Numbers { unit: 4.0 }).unwrap();
        assert_eq!(scaled.mae, Some(2.0));
        assert_eq!(scaled.rmse, own.rmse.map(|rmse| 4.0 * rmse));
        assert_eq!((scaled.loss, scaled.r2), (own.loss, own.r2));
    }

    #[test]
    fn classes_by_hand() {
        let mut sums = sums(&[(1.0, 1.0), (0.0, 1.0), (2.0, 2.0), (2.0, 2.0)]);
        sums.weight = 8.0;
        let report = sums.report(Kind::Classes).unwrap();
        assert_eq!((report.accuracy, report.loss, report.rmse), (Some(0.75), 0.125, None));
        assert_eq!(serde_json::to_string(&report).unwrap(), r#"{"loss":0.125,"accuracy":0.75}"#);
    }

    #[test]
    fn sums_that_are_not_finite_can_be_stored() {
        let sums = Sums { rows: 2, loss: f64::INFINITY, target: 0.1, ..Sums::default() };
        let read: Sums = serde_json::from_str(&serde_json::to_string(&sums).unwrap()).unwrap();
        assert!(read.loss.is_nan());
        assert_eq!(Sums { loss: 0.0, ..read }, Sums { loss: 0.0, ..sums });
    }

    #[test]
    fn what_is_undefined_is_absent() {
        assert_eq!(Sums::default().report(Kind::Classes), None);
        assert_eq!(sums(&[(1.0, 2.0), (3.0, 2.0)]).report(Kind::Numbers { unit: 1.0 }).unwrap().r2, None);
    }
}
