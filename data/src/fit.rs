//! Fitting an encoder: one pass over the training rows.

use std::collections::BTreeSet;

use lockstep_core::nearest;
use lockstep_core::run::spec::Loss;

use crate::encode::{number, texts};
use crate::encoder::{Wanted, order};
use crate::moments::ColumnMoments;
use crate::{DataError, Dataset, Encoder, Inputs, Kind, Scale, Target, Wrong};

/// Fits an encoder on the rows that `trains`. Without `target`, it is the column `label`; without
/// `features`, they are all other columns.
///
/// # Errors
/// A column is missing, a cell is no number, or the classes are not what the loss wants.
pub(crate) fn fit(
    data: &dyn Dataset,
    target: Option<&str>,
    features: Option<&[String]>,
    loss: Loss,
    trains: &dyn Fn(u64) -> bool,
) -> Result<Encoder, DataError> {
    let target = find(data, target.unwrap_or("label"))?;
    let inputs = match features {
        Some(names) => names.iter().map(|name| find(data, name)).collect::<Result<Vec<_>, _>>()?,
        None => (0..data.columns().len()).filter(|column| *column != target).collect(),
    };
    let target_name = name(data, target);
    let target_fitted = match Wanted::by(loss) {
        Wanted::Values => Target::Values { column: target_name },
        wanted => classes(data, target, wanted, trains)?,
    };
    Ok(Encoder { inputs: fit_inputs(data, &inputs, trains)?, target: target_fitted })
}

/// A column's number.
pub(crate) fn find(data: &dyn Dataset, name: &str) -> Result<usize, DataError> {
    data.columns().iter().position(|column| column.name == name).ok_or_else(|| {
        let known: Vec<String> = data.columns().iter().map(|column| column.name.clone()).collect();
        let nearest = nearest(name, &known).map(Into::into);
        DataError::column(data.file(), name, Wrong::NoColumn { nearest, known })
    })
}

fn name(data: &dyn Dataset, column: usize) -> String {
    data.columns().get(column).map(|column| column.name.clone()).unwrap_or_default()
}

fn fit_inputs(
    data: &dyn Dataset,
    inputs: &[usize],
    trains: &dyn Fn(u64) -> bool,
) -> Result<Inputs, DataError> {
    let columns: Vec<_> = inputs.iter().filter_map(|column| data.columns().get(*column)).collect();
    // Bytes are not scaled, so there is nothing to fit; formats with bytes have one such column.
    match columns.as_slice() {
        [] => return Err(DataError::whole(data.file(), Wrong::NoFeatures)),
        [column] => {
            if let Kind::Bytes(sample) = &column.kind {
                return Ok(Inputs::Bytes { column: column.name.clone(), sample: sample.clone() });
            }
        }
        _ => {}
    }
    let mut moments: Vec<ColumnMoments> = inputs.iter().map(|_| ColumnMoments::default()).collect();
    for block in data.blocks() {
        for ((values, moments), column) in data.read(*block, inputs)?.iter().zip(&mut moments).zip(inputs) {
            for (row, text) in (block.first..).zip(texts(values)) {
                let value = if trains(row) { Some(number(data, row, *column, text.as_ref())?) } else { None };
                moments.row(row, value);
            }
        }
    }
    let scale = |(moments, column): (ColumnMoments, &usize)| {
        let (mean, deviation) = moments.finish();
        let column = name(data, *column);
        if !mean.is_finite() || !deviation.is_finite() {
            return Err(DataError::column(data.file(), column, Wrong::TooLarge));
        }
        Ok(Scale { column, mean, deviation: if deviation > 0.0 { deviation } else { 1.0 } })
    };
    Ok(Inputs::Columns(moments.into_iter().zip(inputs).map(scale).collect::<Result<_, _>>()?))
}

fn classes(
    data: &dyn Dataset,
    column: usize,
    wanted: Wanted,
    trains: &dyn Fn(u64) -> bool,
) -> Result<Target, DataError> {
    let mut labels = BTreeSet::new();
    for block in data.blocks() {
        for values in data.read(*block, &[column])? {
            for (row, text) in (block.first..).zip(texts(&values)) {
                if !trains(row) {
                    continue;
                }
                if text.is_empty() {
                    let column = Some(name(data, column));
                    return Err(DataError {
                        file: data.file().into(),
                        place: data.place(row),
                        column,
                        what: Wrong::NoLabel,
                    });
                }
                if !labels.contains(text.as_ref()) {
                    labels.insert(text.into_owned());
                }
            }
        }
    }
    let labels = order(labels);
    let column = name(data, column);
    match (labels.as_slice(), wanted) {
        ([only], _) => Err(DataError::column(data.file(), column, Wrong::OneClass(only.clone()))),
        (_, Wanted::TwoClasses(loss)) if labels.len() != 2 => {
            Err(DataError::column(data.file(), column, Wrong::NotTwoClasses { found: labels, loss }))
        }
        _ => Ok(Target::Classes { column, labels }),
    }
}
