//! What a column is, by the values of the training rows.

use lockstep_core::run::spec::{Column, Fill, Scale};

use crate::Cell;
use crate::time::time;

/// Counts of a column's values by what they could be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Values that are there.
    pub present: u64,
    /// Values that are missing.
    pub missing: u64,
    numbers: u64,
    truths: u64,
    times: u64,
}

impl Profile {
    /// Counts one more.
    pub fn add(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Missing => {
                self.missing += 1;
                return;
            }
            Cell::Whole(_) | Cell::Real(_) => self.numbers += 1,
            Cell::Bool(_) => self.truths += 1,
            Cell::Time(_) => self.times += 1,
            Cell::Text(text) if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") => {
                self.truths += 1;
            }
            Cell::Text(_) if cell.number().is_some() => self.numbers += 1,
            Cell::Text(_) if time(cell, None).is_some() => self.times += 1,
            Cell::Text(_) | Cell::Bytes(_) => {}
        }
        self.present += 1;
    }

    /// What the column is: true and false, or dates, if all its values are; numbers if half of them are or
    /// more, so that a slip among numbers is found rather than learnt; else categories.
    pub fn column(&self) -> Column {
        if self.present > 0 && self.truths == self.present {
            Column::Boolean
        } else if self.present > 0 && self.times == self.present {
            Column::DateTime { parts: None, format: None }
        } else if self.numbers * 2 >= self.present {
            Column::Numeric { scale: Scale::Standardize, missing: Fill::Mean, indicator: false }
        } else {
            Column::Categorical { most: 100, embedding: None }
        }
    }
}
