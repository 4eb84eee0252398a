//! A number of an evaluation by name, and which of two is better.

use serde::{Deserialize, Serialize};

use super::{Kind, Report};

/// A number of an evaluation of the validation rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Metric {
    /// The mean loss; less is better.
    #[serde(rename = "validation.loss")]
    Loss,
    /// The share of rows whose class was predicted; more is better.
    #[serde(rename = "validation.accuracy")]
    Accuracy,
    /// √ of the mean squared error; less is better.
    #[serde(rename = "validation.rmse")]
    Rmse,
    /// The mean absolute error; less is better.
    #[serde(rename = "validation.mae")]
    Mae,
    /// The share of the targets' variance that is explained; more is better.
    #[serde(rename = "validation.r2")]
    R2,
}

impl Metric {
    /// All, by their names in the run file.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("validation.loss", Self::Loss),
        ("validation.accuracy", Self::Accuracy),
        ("validation.rmse", Self::Rmse),
        ("validation.mae", Self::Mae),
        ("validation.r2", Self::R2),
    ];

    /// As in the run file.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, metric)| *metric == self).map_or("", |(name, _)| name)
    }

    /// Whether models of this kind have it.
    pub const fn is_of(self, kind: Kind) -> bool {
        match self {
            Self::Loss => true,
            Self::Accuracy => matches!(kind, Kind::Classes),
            Self::Rmse | Self::Mae | Self::R2 => matches!(kind, Kind::Numbers { .. }),
        }
    }

    /// Its value; `None` if it is undefined or not finite, which is better than nothing else.
    pub fn of(self, report: &Report) -> Option<f64> {
        match self {
            Self::Loss => Some(report.loss),
            Self::Accuracy => report.accuracy,
            Self::Rmse => report.rmse,
            Self::Mae => report.mae,
            Self::R2 => report.r2,
        }
        .filter(|value| value.is_finite())
    }

    /// Whether `new` is better than `old` by more than `margin`.
    pub fn is_better(self, new: f64, old: f64, margin: f64) -> bool {
        match self {
            Self::Accuracy | Self::R2 => new - old > margin,
            Self::Loss | Self::Rmse | Self::Mae => old - new > margin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_is_less_or_more() {
        let better = |metric: Metric| {
            [(0.5, 0.4, 0.0), (0.4, 0.5, 0.0), (0.5, 0.5, 0.0), (0.5, 0.25, 0.25)]
                .map(|(new, old, margin)| metric.is_better(new, old, margin))
        };
        for metric in [Metric::Accuracy, Metric::R2] {
            assert_eq!(better(metric), [true, false, false, false]);
        }
        for metric in [Metric::Loss, Metric::Rmse, Metric::Mae] {
            assert_eq!(better(metric), [false, true, false, false]);
        }
    }

    #[test]
    fn what_is_undefined_has_no_value() {
        let report = Report { loss: f64::NAN, accuracy: Some(0.5), rmse: None, mae: None, r2: None };
        assert_eq!(Metric::NAMES.map(|(_, metric)| metric.of(&report)), [None, Some(0.5), None, None, None]);
        for (name, metric) in Metric::NAMES {
            assert_eq!(metric.name(), name);
            assert_eq!(serde_json::to_value(metric).unwrap(), name);
        }
    }
}
