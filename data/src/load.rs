//! A run's data, ready to train on.

use std::path::Path;

use lockstep_core::epoch::held_out;
use lockstep_core::run::spec::{Data, Loss, Validation};

use crate::fit::fit;
use crate::{DataError, Encoder, Table, TargetUse, Wrong, open};

/// A run's data.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The rows to train on, in the file's order.
    pub train: Table,
    /// The rows to validate on, in the file's order.
    pub validation: Option<Table>,
    /// Fitted on the training rows.
    pub encoder: Encoder,
}

/// Reads the data of a run; relative paths start at `base`, the run file's folder.
///
/// # Errors
/// The first thing that is wrong with the data, or with what the run file says of it.
pub fn load(data: &Data, loss: Loss, seed: u64, base: &Path) -> Result<Prepared, DataError> {
    let train = open(&data.train, base)?;
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
    let encoder = fit(&*train, data.target.as_deref(), data.features.as_deref(), loss, &trains)?;
    let validation = match &data.validation {
        Validation::None => None,
        Validation::Fraction(_) => Some(encoder.encode_some(&*train, TargetUse::Required, &held)?),
        Validation::Source(source) => Some(encoder.encode_file(source, base, TargetUse::Required)?),
    };
    let train = encoder.encode_some(&*train, TargetUse::Required, &trains)?;
    Ok(Prepared { train, validation, encoder })
}
