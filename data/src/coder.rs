//! From a cell to the numbers that a model sees.

use std::collections::BTreeMap;

use lockstep_core::run::spec::Part;

use crate::time::{circle, days, time};
use crate::{Cell, Code, Feature, Wrong};

/// A feature, ready to encode.
pub(crate) struct Coder<'a> {
    code: &'a Code,
    width: usize,
    /// Of a category's values.
    places: BTreeMap<&'a str, usize>,
}

impl<'a> Coder<'a> {
    pub(crate) fn new(feature: &'a Feature) -> Self {
        let places = match &feature.code {
            Code::Category { values } | Code::Embedding { values, .. } => {
                values.iter().map(String::as_str).zip(0..).collect()
            }
            _ => BTreeMap::new(),
        };
        Self { code: &feature.code, width: feature.width(), places }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Writes a cell's numbers; `to` has the feature's width and holds zeros.
    ///
    /// # Errors
    /// The cell is not what the column holds. What was written is unspecified.
    pub(crate) fn encode(&self, cell: Cell<'_>, to: &mut [f32]) -> Result<(), Wrong> {
        match self.code {
            Code::Number(number) => {
                let value = match (cell, number.missing) {
                    (Cell::Missing, Some(missing)) => missing,
                    _ => number_of(cell)?,
                };
                let z = number.apply(value);
                if !z.is_finite() {
                    return Err(Wrong::NotNumber(cell.spelled().into()));
                }
                let values = [z, f32::from(u8::from(cell == Cell::Missing))];
                to.iter_mut().zip(values).for_each(|(to, value)| *to = value);
            }
            Code::Embedding { values, .. } => {
                let index = self.places.get(cell.spelled().as_ref()).copied().unwrap_or(values.len());
                to.iter_mut().for_each(|to| *to = index as f32);
            }
            Code::Category { values } => {
                let place = self.places.get(cell.spelled().as_ref()).copied().unwrap_or(values.len());
                to.iter_mut().skip(place).take(1).for_each(|to| *to = 1.0);
            }
            Code::Boolean { missing } => {
                let value = match cell {
                    Cell::Missing => *missing as f32,
                    _ => f32::from(u8::from(truth_of(cell)?)),
                };
                to.iter_mut().for_each(|to| *to = value);
            }
            Code::DateTime { parts, format, mean, deviation } => {
                if cell == Cell::Missing {
                    return Ok(());
                }
                let not_time = || Wrong::NotTime(cell.spelled().into());
                let time = time(cell, format.as_deref()).ok_or_else(not_time)?;
                let mut places = to.iter_mut();
                let mut put = |value| places.next().into_iter().for_each(|to| *to = value);
                for part in parts {
                    match part {
                        Part::Elapsed => put(((days(time) - mean) / deviation).clamp(-10.0, 10.0) as f32),
                        _ => circle(time, *part).into_iter().for_each(&mut put),
                    }
                }
            }
        }
        Ok(())
    }
}

/// # Errors
/// The cell is no finite number.
pub(crate) fn number_of(cell: Cell<'_>) -> Result<f64, Wrong> {
    cell.number().ok_or_else(|| Wrong::NotNumber(cell.spelled().into()))
}

/// # Errors
/// The cell is no truth value.
pub(crate) fn truth_of(cell: Cell<'_>) -> Result<bool, Wrong> {
    match cell {
        Cell::Bool(value) => Some(value),
        Cell::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "0" => Some(false),
            _ => None,
        },
        _ => match cell.number() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
    }
    .ok_or_else(|| Wrong::NotTruth(cell.spelled().into()))
}
