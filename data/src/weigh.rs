//! What rows count for: their own weight, from a column, times their class's.

use std::collections::BTreeMap;

use lockstep_core::nearest;
use lockstep_core::run::spec::{ClassWeights, Loss, Run};
use serde::{Deserialize, Serialize};

use crate::coder::number_of;
use crate::error::class_hint;
use crate::{Cell, Wrong};

/// What a run makes of its data.
#[derive(Clone, Copy, Debug)]
pub struct Goal<'a> {
    /// What is minimised.
    pub loss: Loss,
    /// What rows count for by their class; 1 by default.
    pub class_weights: Option<&'a ClassWeights>,
}

impl<'a> Goal<'a> {
    /// That of a run.
    pub fn of(run: &'a Run) -> Self {
        Self { loss: run.model.loss, class_weights: run.train.class_weights.as_ref() }
    }
}

/// What a row's weight is: the product of what is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowWeights {
    /// The column of the rows' own weights.
    pub column: Option<String>,
    /// The weight of each class.
    pub classes: Option<Vec<f64>>,
}

impl RowWeights {
    /// Nothing if all rows weigh 1. Classes come as labels in order, with the number of their rows.
    ///
    /// # Errors
    /// A label that no row has.
    pub(crate) fn fit(
        column: Option<String>,
        class_weights: Option<&ClassWeights>,
        labels: &[String],
        counts: &BTreeMap<String, u64>,
    ) -> Result<Option<Self>, Wrong> {
        let classes = match class_weights {
            None => None,
            Some(ClassWeights::Balanced) => {
                let all = counts.values().sum::<u64>() as f64;
                let count = |label| counts.get(label).copied().unwrap_or(1).max(1) as f64;
                Some(labels.iter().map(|label| all / (labels.len() as f64 * count(label))).collect())
            }
            Some(ClassWeights::Of(weights)) => {
                if let Some(found) = weights.keys().find(|label| !labels.contains(label)) {
                    let nearest = nearest(found, labels).map(Into::into);
                    return Err(Wrong::NoSuchClass {
                        found: found.clone(),
                        hint: class_hint(&nearest, labels),
                    });
                }
                Some(labels.iter().map(|label| weights.get(label).copied().unwrap_or(1.0)).collect())
            }
        };
        Ok((column.is_some() || classes.is_some()).then_some(Self { column, classes }))
    }

    /// Whether they are those of so many classes.
    pub(crate) fn is_sound(&self, classes: Option<usize>) -> bool {
        let fits = |weight: &f64| (0.0..=MOST).contains(weight);
        self.classes.as_ref().is_none_or(|weights| Some(weights.len()) == classes && weights.iter().all(fits))
    }

    /// Of a row with that weight of its own and that class.
    pub(crate) fn of(&self, own: f64, class: Option<u32>) -> f32 {
        let of_class = self.classes.as_ref().zip(class);
        let of_class = of_class.and_then(|(classes, class)| classes.get(class as usize));
        (own * of_class.copied().unwrap_or(1.0)) as f32
    }
}

/// The product of two such weights is finite as f32.
const MOST: f64 = 1e18;

/// # Errors
/// The cell is no weight.
pub(crate) fn weight_of(cell: Cell<'_>) -> Result<f64, Wrong> {
    let not_weight = || Wrong::NotWeight(cell.spelled().into());
    number_of(cell).ok().filter(|weight| (0.0..=MOST).contains(weight)).ok_or_else(not_weight)
}
