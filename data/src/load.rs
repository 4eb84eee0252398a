//! A run's data, ready to train on.

use std::path::Path;

use lockstep_core::epoch::held_out;
use lockstep_core::run::spec::{Data, Validation};

use serde::{Deserialize, Serialize};

use crate::fit::fit;
use crate::pass::Pass;
use crate::{DataError, Encoder, Goal, Table, TargetUse, Wrong, open};

/// A run's data.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The rows to train on, in the file's order.
    pub train: Table,
    /// The rows to validate on, in the file's order.
    pub validation: Option<Table>,
    /// Fitted on the training rows.
    pub encoder: Encoder,
    /// Bad rows that were left out.
    pub skipped: Skipped,
}

/// Bad rows that were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Of the rows to train on.
    pub train: u64,
    /// Of the rows to validate on.
    pub validation: u64,
}

/// Reads the data of a run; relative paths start at `base`, the run file's folder.
///
/// # Errors
/// The first thing that is wrong with the data, or with what the run file says of it.
pub fn load(data: &Data, goal: Goal<'_>, seed: u64, base: &Path) -> Result<Prepared, DataError> {
    let train = open(&data.train, &data.reading, base)?;
    let share = match data.validation {
        Validation::Fraction(share) => Some(share),
        _ => None,
    };
    let held = |row| share.is_some_and(|share| held_out(seed, row, share));
    if let Some(share) = share {
        let (held, rows) = ((0..train.rows()).filter(|row| held(*row)).count() as u64, train.rows());
        if held == 0 || held == rows {
            let what = Wrong::Share { share: format!("{share:?}"), held, rows };
            return Err(DataError::whole(train.file(), what));
        }
    }
    let trains = |row| !held(row);
    let pass = Pass { data: &*train, reading: &data.reading, on_bad_row: data.on_bad_row, wanted: &trains };
    let (encoder, _) = fit(pass, data, goal)?;
    let required = TargetUse::Required;
    let validation = match &data.validation {
        Validation::None => None,
        Validation::Fraction(_) => Some(encoder.encode(Pass { wanted: &held, ..pass }, required)?),
        Validation::Source(source) => {
            let rows = open(source, &data.reading, base)?;
            Some(encoder.encode(Pass { data: &*rows, wanted: &|_| true, ..pass }, required)?)
        }
    };
    let (train, left_out) = encoder.encode(pass, required)?;
    let (validation, also) = validation.unzip();
    let skipped = Skipped { train: left_out, validation: also.unwrap_or(0) };
    Ok(Prepared { train, validation, encoder, skipped })
}
