//! What a model sees of a dataset: fitted on the training rows, stored with the model.

use std::collections::BTreeSet;

use lockstep_core::ops::embedding::Embedding;
use lockstep_core::run::spec::Loss;
use serde::{Deserialize, Serialize};

use crate::{Code, Feature, RowWeights};

/// From what a file holds to what a model sees, and back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// What goes in.
    pub inputs: Inputs,
    /// What comes out.
    pub target: Target,
    /// What rows count for in a loss; none: 1 each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<RowWeights>,
}

/// What goes into a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Inputs {
    /// Columns, the numbers of one after those of the other.
    Columns(Vec<Feature>),
    /// A column of bytes, divided by 255.
    Bytes {
        /// The column's name.
        column: String,
        /// The shape of a row, such as `[28, 28]`.
        sample: Vec<usize>,
    },
}

/// What comes out of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// One of some classes.
    Classes {
        /// The column's name.
        column: String,
        /// Class i is `labels[i]`: in numeric order if all are whole numbers, else by bytes.
        labels: Vec<String>,
    },
    /// A number t, of which (t - mean) / deviation is learnt.
    Values {
        /// The column's name.
        column: String,
        /// Over the training rows; 0 for the number as it is.
        #[serde(default, skip_serializing_if = "is_zero")]
        mean: f64,
        /// Over the training rows, 1 for a constant column; 1 for the number as it is.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        deviation: f64,
    },
}

fn one() -> f64 {
    1.0
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn is_one(value: &f64) -> bool {
    *value == 1.0
}

impl Target {
    /// A number as it is.
    pub fn number(column: impl Into<String>) -> Self {
        Self::Values { column: column.into(), mean: 0.0, deviation: 1.0 }
    }

    /// What is learnt of a number.
    pub(crate) fn learnt(&self, number: f64) -> f32 {
        match self {
            Self::Values { mean, deviation, .. } => ((number - mean) / deviation) as f32,
            Self::Classes { .. } => number as f32,
        }
    }

    /// The number of which this was learnt, in the column's own unit.
    pub fn of_learnt(&self, learnt: f32) -> f32 {
        match self {
            Self::Values { mean, deviation, .. } => (mean + deviation * f64::from(learnt)) as f32,
            Self::Classes { .. } => learnt,
        }
    }
    /// The column's name.
    pub fn column(&self) -> &str {
        match self {
            Self::Classes { column, .. } | Self::Values { column, .. } => column,
        }
    }
}

/// A stored encoder that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// Not the JSON of an encoder.
    #[error("this is not an encoder: {0}")]
    Json(String),
    /// No inputs, or a shape without bytes.
    #[error("the encoder has no inputs")]
    NoInputs,
    /// A column twice, or a target among the inputs.
    #[error("the encoder names the column {0:?} twice")]
    Twice(String),
    /// A code that cannot be used, such as a deviation of 0.
    #[error("the encoder cannot encode the column {0:?}")]
    Code(String),
    /// Fewer than two classes, or one twice.
    #[error("the encoder's classes are not two or more different ones")]
    Classes,
    /// A mean or a deviation that nothing can be scaled by.
    #[error("the encoder cannot scale the target")]
    Scale,
    /// Weights of other classes, or below 0.
    #[error("the encoder's weights of classes are not one for each")]
    Weights,
}

impl Encoder {
    /// As stored with the model.
    pub fn to_json(&self) -> String {
        // Strings, finite numbers and lists of them always are JSON.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Reads what [`Encoder::to_json`] wrote.
    ///
    /// # Errors
    /// The text is no encoder, or one that cannot be used.
    pub fn from_json(text: &str) -> Result<Self, Bad> {
        let encoder: Self = serde_json::from_str(text).map_err(|error| Bad::Json(error.to_string()))?;
        encoder.check()?;
        Ok(encoder)
    }

    /// The shape of a row's features.
    pub fn sample(&self) -> Vec<usize> {
        match &self.inputs {
            Inputs::Columns(columns) => vec![columns.iter().map(Feature::width).sum()],
            Inputs::Bytes { sample, .. } => sample.clone(),
        }
    }

    /// Which of a row's numbers are indices, and what stands for them.
    pub fn embeddings(&self) -> Vec<Embedding> {
        let Inputs::Columns(columns) = &self.inputs else { return Vec::new() };
        let mut place = 0;
        let mut embeddings = Vec::new();
        for feature in columns {
            if let Code::Embedding { values, width } = &feature.code {
                let name = feature.column.clone();
                embeddings.push(Embedding { name, place, values: values.len() + 1, width: *width });
            }
            place += feature.width();
        }
        embeddings
    }

    /// The classes in order; `None` if the target is a number.
    pub fn labels(&self) -> Option<&[String]> {
        match &self.target {
            Target::Classes { labels, .. } => Some(labels),
            Target::Values { .. } => None,
        }
    }

    /// The column of the rows' own weights.
    pub fn weight_column(&self) -> Option<&str> {
        self.weights.as_ref()?.column.as_deref()
    }

    pub(crate) fn check(&self) -> Result<(), Bad> {
        let mut seen = BTreeSet::from([self.target.column()]);
        let mut once = |column| {
            if seen.insert(column) { Ok(()) } else { Err(Bad::Twice(column.into())) }
        };
        match &self.inputs {
            Inputs::Columns(columns) => {
                for feature in columns {
                    once(feature.column.as_str())?;
                    if !feature.is_sound() {
                        return Err(Bad::Code(feature.column.clone()));
                    }
                }
            }
            Inputs::Bytes { column, .. } => once(column.as_str())?,
        }
        let width = self.sample().iter().try_fold(1usize, |all, size| all.checked_mul(*size));
        if width.is_none_or(|width| width == 0) {
            return Err(Bad::NoInputs);
        }
        if let Target::Values { mean, deviation, .. } = self.target
            && !(mean.is_finite() && deviation.is_finite() && deviation > 0.0)
        {
            return Err(Bad::Scale);
        }
        if let Some(column) = self.weight_column() {
            once(column)?;
        }
        if self.weights.as_ref().is_some_and(|weights| !weights.is_sound(self.labels().map(<[_]>::len))) {
            return Err(Bad::Weights);
        }
        match self.labels() {
            Some(labels)
                if labels.len() < 2 || labels.iter().collect::<BTreeSet<_>>().len() < labels.len() =>
            {
                Err(Bad::Classes)
            }
            _ => Ok(()),
        }
    }
}

/// What a loss wants as its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Classes,
    /// For the loss of that name.
    TwoClasses(&'static str),
    Values,
}

impl Wanted {
    pub(crate) fn by(loss: Loss) -> Self {
        match loss {
            Loss::CrossEntropy => Self::Classes,
            Loss::BinaryCrossEntropy => Self::TwoClasses("binary_cross_entropy"),
            Loss::Perceptron => Self::TwoClasses("perceptron"),
            Loss::Hinge => Self::TwoClasses("hinge"),
            Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber { .. } => Self::Values,
        }
    }
}

/// In numeric order if all are whole numbers, else by bytes.
pub(crate) fn order(labels: BTreeSet<String>) -> Vec<String> {
    let mut labels: Vec<String> = labels.into_iter().collect();
    let numbers: Option<Vec<i128>> = labels.iter().map(|label| label.parse().ok()).collect();
    if numbers.is_some() {
        // Stable: `01` and `1` stay ordered by bytes.
        labels.sort_by_key(|label| label.parse::<i128>().unwrap_or_default());
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoder() -> Encoder {
        Encoder {
            inputs: Inputs::Columns(vec![
                Feature::standardized("a", 0.1, 1.0 / 3.0),
                Feature::standardized("b", -1e-300, 5e300),
            ]),
            target: Target::Classes { column: "y".into(), labels: vec!["no".into(), "yes \"é\"".into()] },
            weights: None,
        }
    }

    #[test]
    fn json_keeps_every_bit() {
        let bytes = Encoder {
            inputs: Inputs::Bytes { column: "image".into(), sample: vec![28, 28] },
            target: Target::number("label"),
            weights: None,
        };
        let weights = RowWeights { column: Some("w".into()), classes: Some(vec![1.0 / 3.0, 2.0]) };
        let weighted = Encoder { weights: Some(weights), ..encoder() };
        let target = Target::Values { column: "y".into(), mean: 0.1, deviation: 1.0 / 3.0 };
        let scaled = Encoder { target, ..encoder() };
        for encoder in [encoder(), bytes, weighted, scaled] {
            assert_eq!(Encoder::from_json(&encoder.to_json()), Ok(encoder));
        }
    }

    #[test]
    fn unusable_encoders_are_refused() {
        let error = |from: &str, to: &str| {
            let json = encoder().to_json();
            assert!(json.contains(from));
            Encoder::from_json(&json.replace(from, to)).unwrap_err().to_string()
        };
        assert!(error("inputs", "input").starts_with("this is not an encoder: unknown field `input`"));
        assert_eq!(error("\"b\"", "\"a\""), "the encoder names the column \"a\" twice");
        assert_eq!(error("\"b\"", "\"y\""), "the encoder names the column \"y\" twice");
        assert_eq!(error("5e+300", "0.0"), "the encoder cannot encode the column \"b\"");
        assert_eq!(error("\"no\",", ""), "the encoder's classes are not two or more different ones");
        for (column, classes) in [(Some("a"), None), (None, Some(vec![1.0])), (None, Some(vec![1.0, -1.0]))] {
            let weights = RowWeights { column: column.map(Into::into), classes };
            let encoder = Encoder { weights: Some(weights), ..encoder() };
            assert!(Encoder::from_json(&encoder.to_json()).is_err());
        }
        for (mean, deviation) in [(f64::MAX, 0.0), (0.0, -1.0), (f64::MAX, f64::MAX)] {
            let target = Target::Values { column: "y".into(), mean, deviation };
            let encoder = Encoder { target, ..encoder() };
            let read = Encoder::from_json(&encoder.to_json());
            assert_eq!(read, if deviation > 0.0 { Ok(encoder) } else { Err(Bad::Scale) });
        }
        let none = Encoder { inputs: Inputs::Columns(Vec::new()), ..encoder() };
        assert_eq!(Encoder::from_json(&none.to_json()), Err(Bad::NoInputs));
    }

    #[test]
    fn labels_in_order() {
        let ordered = |labels: &[&str]| order(labels.iter().map(ToString::to_string).collect()).join(" ");
        assert_eq!(ordered(&["10", "9", "-1", "+2"]), "-1 +2 9 10");
        assert_eq!(ordered(&["10", "9", "x"]), "10 9 x");
        assert_eq!(ordered(&["1.5", "10", "2"]), "1.5 10 2");
        assert_eq!(ordered(&["b", "B", "ä"]), "B b ä");
        assert_eq!(ordered(&["1", "01"]), "01 1");
    }

    #[test]
    fn far_values_are_clipped() {
        let Code::Number(scale) = Feature::standardized("a", 1.0, 2.0).code else { panic!() };
        assert_eq!([4.0, 1e300, -1e300].map(|x| scale.apply(x)), [1.5, 10.0, -10.0]);
    }
}
