//! The best evaluation so far, and how long there was no better one.

use lockstep_core::metrics::{Metric, Report};
use serde::{Deserialize, Serialize};

/// The best evaluation so far by a metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// What evaluations are compared by.
    pub metric: Metric,
    /// None before the first evaluation at which the metric was a finite number.
    #[serde(flatten)]
    pub best: Option<Best>,
    /// Evaluations since.
    pub stale: u64,
}

/// The best evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Of W(step).
    pub step: u64,
    /// Finite.
    pub value: f64,
}

impl Watch {
    /// The best one's step.
    pub fn step(&self) -> Option<u64> {
        self.best.map(|best| best.step)
    }

    /// After one more evaluation: only what is better by more than `margin` counts. What was watched by
    /// another metric is forgotten.
    pub fn after(before: Option<Self>, metric: Metric, margin: f64, step: u64, report: &Report) -> Self {
        let Self { best, stale, .. } =
            before.filter(|before| before.metric == metric).unwrap_or(Self { metric, best: None, stale: 0 });
        match metric.of(report) {
            Some(value) if best.is_none_or(|best| metric.is_better(value, best.value, margin)) => {
                Self { metric, best: Some(Best { step, value }), stale: 0 }
            }
            _ => Self { metric, best, stale: stale + 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(loss: f64, accuracy: Option<f64>) -> Report {
        Report { loss, accuracy, rmse: None, mae: None, r2: None }
    }

    fn watched(metric: Metric, margin: f64, losses: &[f64]) -> Watch {
        let mut watch = None;
        for (step, loss) in (1..).zip(losses) {
            watch = Some(Watch::after(watch, metric, margin, step, &report(*loss, Some(1.0 - loss))));
        }
        watch.unwrap()
    }

    #[test]
    fn the_first_of_equals_is_the_best() {
        let watch = watched(Metric::Loss, 0.0, &[0.5, 0.25, 0.25, 0.75]);
        assert_eq!((watch.best, watch.stale), (Some(Best { step: 2, value: 0.25 }), 2));
        let watch = watched(Metric::Accuracy, 0.0, &[0.5, 0.25, 0.75]);
        assert_eq!((watch.best, watch.stale), (Some(Best { step: 2, value: 0.75 }), 1));
    }

    #[test]
    fn a_little_better_is_not_better() {
        let watch = watched(Metric::Loss, 0.25, &[1.0, 0.875, 0.75, 0.5]);
        assert_eq!((watch.step(), watch.stale), (Some(4), 0));
        assert_eq!(watched(Metric::Loss, 0.25, &[1.0, 0.875, 0.75]).stale, 2);
    }

    #[test]
    fn what_is_no_number_is_never_the_best() {
        let watch = watched(Metric::Loss, 0.0, &[f64::NAN, f64::INFINITY]);
        assert_eq!((watch.best, watch.stale), (None, 2));
        assert_eq!(watched(Metric::Loss, 0.0, &[f64::NAN, 0.5, f64::NAN]).step(), Some(2));
    }

    #[test]
    fn it_is_stored() {
        let text = |watch: Watch| serde_json::to_string(&watch).unwrap();
        let (none, some) = (watched(Metric::Loss, 0.0, &[f64::NAN]), watched(Metric::Loss, 0.0, &[0.1]));
        assert_eq!(text(none), r#"{"metric":"validation.loss","stale":1}"#);
        assert_eq!(text(some), r#"{"metric":"validation.loss","step":1,"value":0.1,"stale":0}"#);
        for watch in [none, some] {
            assert_eq!(serde_json::from_str::<Watch>(&text(watch)).unwrap(), watch);
        }
    }

    #[test]
    fn another_metric_begins_anew() {
        let before = watched(Metric::Loss, 0.0, &[0.1, 0.2]);
        let after = Watch::after(Some(before), Metric::Accuracy, 0.0, 9, &report(0.3, Some(0.1)));
        assert_eq!((after.step(), after.stale), (Some(9), 0));
    }
}
