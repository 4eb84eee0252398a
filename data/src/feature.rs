//! How one column becomes numbers: fitted on the training rows, stored with the model.

use lockstep_core::ops::embedding::MOST_VALUES;
use lockstep_core::run::spec::Part;
use serde::{Deserialize, Serialize};

/// A column and how it is seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The column's name.
    pub column: String,
    /// How its values become numbers.
    pub code: Code,
}

/// How values become numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Code {
    /// One number, or two with the indicator.
    Number(Number),
    /// A place for each value, 1 where it is the row's and 0 elsewhere, and a last one for all others.
    Category {
        /// In numeric order if all are whole numbers, else by bytes. A missing value is the empty one.
        values: Vec<String>,
    },
    /// The value's index, or behind them that of all others; the model has a vector for each.
    Embedding {
        /// As those of a category.
        values: Vec<String>,
        /// Numbers of a vector.
        width: usize,
    },
    /// 1 for true, 0 for false.
    Boolean {
        /// Stands for a missing value: the share of true ones among the training rows.
        missing: f64,
    },
    /// What is asked of a date or time, each part in its place; all 0 where it is missing.
    DateTime {
        /// One value for `elapsed`, sine and cosine for the others.
        parts: Vec<Part>,
        /// As `strftime`; none: ISO 8601.
        format: Option<String>,
        /// Days since 1970, over the training rows.
        mean: f64,
        /// Of the days; 1 for a constant column.
        deviation: f64,
    },
}

/// z = (x - center) / divisor, in f64; clipped at ±10 unless the numbers are taken as they are. If it is
/// missing, x is what stands in for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// Whether x is sign(v)·ln(1 + |v|) of the value v.
    pub log: bool,
    /// Over the training rows.
    pub center: f64,
    /// Over the training rows; 1 for a constant column.
    pub divisor: f64,
    /// Whether z is clipped.
    pub clip: bool,
    /// The value that stands in for a missing one; none: a missing value makes a bad row.
    pub missing: Option<f64>,
    /// Whether a second number is 1 where the value is missing, and 0 elsewhere.
    pub indicator: bool,
}

impl Feature {
    /// A column of numbers, standardized and without missing values.
    pub fn standardized(column: impl Into<String>, mean: f64, deviation: f64) -> Self {
        let number = Number {
            log: false,
            center: mean,
            divisor: deviation,
            clip: true,
            missing: None,
            indicator: false,
        };
        Self { column: column.into(), code: Code::Number(number) }
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        match &self.code {
            Code::Number(number) => 1 + usize::from(number.indicator),
            Code::Category { values } => values.len() + 1,
            Code::Boolean { .. } | Code::Embedding { .. } => 1,
            Code::DateTime { parts, .. } => {
                parts.iter().map(|part| if *part == Part::Elapsed { 1 } else { 2 }).sum()
            }
        }
    }

    /// Whether it can be used: finite numbers, a divisor above 0, each value once, and a width.
    pub(crate) fn is_sound(&self) -> bool {
        let scales = |center: f64, divisor: f64| center.is_finite() && divisor.is_finite() && divisor > 0.0;
        match &self.code {
            Code::Number(number) => {
                scales(number.center, number.divisor) && number.missing.is_none_or(f64::is_finite)
            }
            Code::Embedding { values, width } => {
                (1..=1 << 16).contains(width) && values.len() < MOST_VALUES && distinct(values)
            }
            Code::Category { values } => distinct(values),
            Code::Boolean { missing } => (0.0..=1.0).contains(missing),
            Code::DateTime { parts, mean, deviation, .. } => !parts.is_empty() && scales(*mean, *deviation),
        }
    }
}

fn distinct(values: &[String]) -> bool {
    let mut sorted: Vec<&String> = values.iter().collect();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair.first() != pair.last())
}

impl Number {
    /// The value as it is scaled.
    pub(crate) fn x(&self, value: f64) -> f64 {
        if self.log { log(value) } else { value }
    }

    /// z, as the model sees it.
    #[inline]
    pub fn apply(&self, value: f64) -> f32 {
        let z = (self.x(value) - self.center) / self.divisor;
        (if self.clip { z.clamp(-10.0, 10.0) } else { z }) as f32
    }
}

/// sign(v)·ln(1 + |v|)
pub(crate) fn log(value: f64) -> f64 {
    libm::log1p(value.abs()).copysign(value)
}
