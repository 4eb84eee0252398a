//! What one column's values are over the training rows: gathered row by row, then made a code.
//!
//! A row counts in all columns or in none, so a cell is first read, and then, if the row is good,
//! counted.

use std::collections::BTreeMap;

use lockstep_core::run::spec::{Column, Fill, Part, Scale};

use crate::coder::{number_of, truth_of};
use crate::encoder::order;
use crate::feature::log;
use crate::moments::ColumnMoments;
use crate::sketch::Sketch;
use crate::time::{days, is_format, time};
use crate::{Cell, Code, Number, Wrong};

/// One column on its way to a code.
pub(crate) enum Fitter {
    Number {
        scale: Scale,
        missing: Fill,
        indicator: bool,
        read: Option<f64>,
        fit: Box<Numbers>,
    },
    Category {
        embedding: Option<usize>,
        most: usize,
        read: String,
        counts: BTreeMap<String, u64>,
    },
    Boolean {
        read: Option<bool>,
        truths: u64,
        count: u64,
    },
    DateTime {
        parts: Option<Vec<Part>>,
        format: Option<String>,
        read: Option<f64>,
        moments: ColumnMoments,
        hours: bool,
    },
}

/// Of a numeric column.
#[derive(Default)]
pub(crate) struct Numbers {
    /// Of the values as they are.
    plain: ColumnMoments,
    /// Of their logarithms, if these are scaled.
    logs: Option<ColumnMoments>,
    range: Option<(f64, f64)>,
    median: Option<Sketch>,
}

impl Fitter {
    /// `None` for a column that is ignored.
    ///
    /// # Errors
    /// A format of dates that is none.
    pub(crate) fn new(column: &Column) -> Result<Option<Self>, Wrong> {
        Ok(Some(match column {
            Column::Ignore => return Ok(None),
            Column::Numeric { scale, missing, indicator } => {
                let fit = Numbers {
                    logs: (*scale == Scale::Log).then(ColumnMoments::default),
                    median: (*missing == Fill::Median).then(Sketch::default),
                    ..Numbers::default()
                };
                let (scale, missing, indicator) = (*scale, *missing, *indicator);
                Self::Number { scale, missing, indicator, read: None, fit: Box::new(fit) }
            }
            Column::Categorical { most, embedding } => Self::Category {
                embedding: embedding.map(|width| usize::try_from(width).unwrap_or(usize::MAX)),
                most: usize::try_from(*most).unwrap_or(usize::MAX),
                read: String::new(),
                counts: BTreeMap::new(),
            },
            Column::Boolean => Self::Boolean { read: None, truths: 0, count: 0 },
            Column::DateTime { parts, format } => {
                if let Some(format) = format.as_ref().filter(|format| !is_format(format)) {
                    return Err(Wrong::TimeFormat(format.clone()));
                }
                let (parts, format) = (parts.clone(), format.clone());
                Self::DateTime { parts, format, read: None, moments: ColumnMoments::default(), hours: false }
            }
        }))
    }

    /// Reads a cell.
    ///
    /// # Errors
    /// It is not what the column holds.
    pub(crate) fn read(&mut self, cell: Cell<'_>) -> Result<(), Wrong> {
        let there = cell != Cell::Missing;
        match self {
            Self::Number { missing, read, .. } => {
                *read = if there || *missing == Fill::Stop { Some(number_of(cell)?) } else { None };
            }
            Self::Category { read, .. } => {
                read.clear();
                read.push_str(&cell.spelled());
            }
            Self::Boolean { read, .. } => *read = if there { Some(truth_of(cell)?) } else { None },
            Self::DateTime { format, read, .. } => {
                let not_time = || Wrong::NotTime(cell.spelled().into());
                let time =
                    if there { Some(time(cell, format.as_deref()).ok_or_else(not_time)?) } else { None };
                *read = time.map(days);
            }
        }
        Ok(())
    }

    /// Counts what was read, as a value of this row.
    pub(crate) fn count(&mut self, row: u64) {
        match self {
            Self::Number { read, fit, .. } => {
                if let Some(value) = *read {
                    fit.add(row, value);
                }
            }
            Self::Category { read, counts, .. } => match counts.get_mut(read.as_str()) {
                Some(count) => *count += 1,
                None => drop(counts.insert(read.clone(), 1)),
            },
            Self::Boolean { read, truths, count } => {
                *truths += u64::from(*read == Some(true));
                *count += u64::from(read.is_some());
            }
            Self::DateTime { read, moments, hours, .. } => {
                if let Some(days) = *read {
                    *hours |= days != days.floor();
                    moments.add(row, days);
                }
            }
        }
    }

    /// # Errors
    /// Numbers whose mean or deviation is beyond f64.
    pub(crate) fn finish(self) -> Result<Code, Wrong> {
        Ok(match self {
            Self::Number { scale, missing, indicator, fit, .. } => {
                Code::Number(fit.finish(scale, missing, indicator)?)
            }
            Self::Category { embedding, most, counts, .. } => {
                let values = vocabulary(counts, most);
                match embedding {
                    Some(width) => Code::Embedding { values, width },
                    None => Code::Category { values },
                }
            }
            Self::Boolean { truths, count, .. } => {
                Code::Boolean { missing: if count == 0 { 0.0 } else { truths as f64 / count as f64 } }
            }
            Self::DateTime { parts, format, moments, hours, .. } => {
                let (mean, deviation) = moments.finish();
                let parts = parts.unwrap_or_else(|| {
                    let mut parts = vec![Part::Elapsed, Part::Year, Part::Week];
                    parts.extend(hours.then_some(Part::Day));
                    parts
                });
                Code::DateTime { parts, format, mean, deviation: or_one(deviation) }
            }
        })
    }
}

impl Numbers {
    fn add(&mut self, row: u64, value: f64) {
        self.plain.add(row, value);
        if let Some(logs) = &mut self.logs {
            logs.add(row, log(value));
        }
        if let Some(median) = &mut self.median {
            median.add(value);
        }
        let (least, greatest) = self.range.unwrap_or((value, value));
        self.range = Some((least.min(value), greatest.max(value)));
    }

    fn finish(self, scale: Scale, missing: Fill, indicator: bool) -> Result<Number, Wrong> {
        let (mean, deviation) = self.plain.finish();
        let (least, greatest) = self.range.unwrap_or_default();
        let (center, divisor) = match (scale, self.logs) {
            (Scale::MinMax, _) => (least, greatest - least),
            (Scale::None, _) => (0.0, 1.0),
            (_, Some(logs)) => logs.finish(),
            _ => (mean, deviation),
        };
        let missing = match missing {
            Fill::Stop => None,
            Fill::Mean => Some(mean),
            Fill::Median => Some(self.median.and_then(|median| median.median()).unwrap_or_default()),
            Fill::Constant(value) => Some(value),
        };
        if ![mean, center, divisor].into_iter().all(f64::is_finite) {
            return Err(Wrong::TooLarge);
        }
        let (log, clip) = (scale == Scale::Log, scale != Scale::None);
        Ok(Number { log, center, divisor: or_one(divisor), clip, missing, indicator })
    }
}

/// A constant column is only centred.
pub(crate) fn or_one(deviation: f64) -> f64 {
    if deviation > 0.0 { deviation } else { 1.0 }
}

/// The most frequent values (of equals, the first by bytes), in order; the missing one is first.
fn vocabulary(counts: BTreeMap<String, u64>, most: usize) -> Vec<String> {
    let mut values: Vec<(String, u64)> = counts.into_iter().collect();
    values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    values.truncate(most);
    let (missing, there): (Vec<_>, Vec<_>) =
        values.into_iter().map(|(value, _)| value).partition(|value| value.is_empty());
    missing.into_iter().chain(order(there.into_iter().collect())).collect()
}
