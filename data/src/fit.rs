//! Fitting an encoder: a pass over the training rows that tells what undeclared columns are, and one that
//! measures them all.

use std::collections::BTreeMap;

use lockstep_core::nearest;
use lockstep_core::run::spec::{Column as Meant, Data, TargetScale};

use crate::coder::number_of;
use crate::encoder::{Wanted, order};
use crate::fitter::{Fitter, or_one};
use crate::moments::ColumnMoments;
use crate::pass::Pass;
use crate::weigh::weight_of;
use crate::{
    Block, Cell, DataError, Dataset, Encoder, Feature, Goal, Inputs, Kind, Profile, RowWeights, Target, Wrong,
};

/// Fits an encoder on the rows of a pass. Without a target, it is the column `label`; without features,
/// they are all other columns that are not ignored and not the weight. Also gives the number of
/// good rows.
///
/// # Errors
/// A column is missing, a row is bad and not skipped, or the classes are not what the loss wants.
pub(crate) fn fit(pass: Pass<'_>, run: &Data, goal: Goal<'_>) -> Result<(Encoder, u64), DataError> {
    let data = pass.data;
    let target = find(data, run.target.as_deref().unwrap_or("label"))?;
    let weight = run.weight.as_deref().map(|name| find(data, name)).transpose()?;
    let inputs = match &run.features {
        Some(names) => names.iter().map(|name| find(data, name)).collect::<Result<Vec<_>, _>>()?,
        None => {
            (0..data.columns().len()).filter(|column| *column != target && Some(*column) != weight).collect()
        }
    };
    for name in run.columns.keys() {
        let column = find(data, name)?;
        if !inputs.contains(&column) {
            return Err(DataError::column(data.file(), name, Wrong::NotFeature));
        }
    }
    let bytes = bytes_of(data, &inputs)?;
    let mut fitters = if bytes.is_some() { Vec::new() } else { fitters(pass, run, &inputs)? };
    if bytes.is_none() && fitters.is_empty() {
        return Err(DataError::whole(data.file(), Wrong::NoFeatures));
    }
    let mut target_fitter = TargetFitter::new(Wanted::by(goal.loss), run.target_scale);
    let columns: Vec<usize> =
        fitters.iter().map(|(column, _)| *column).chain(std::iter::once(target)).chain(weight).collect();
    let mut rows = 0u64;
    let skipped = pass.each(&columns, |row, cells| {
        for (i, ((_, fitter), cell)) in fitters.iter_mut().zip(cells).enumerate() {
            fitter.read(*cell).map_err(|why| (Some(i), why))?;
        }
        let mut rest = (fitters.len()..).zip(cells.iter().skip(fitters.len()));
        let (place, cell) = rest.next().unwrap_or((0, &Cell::Missing));
        if let Some((place, cell)) = rest.next() {
            weight_of(*cell).map_err(|why| (Some(place), why))?;
        }
        target_fitter.add(row, *cell).map_err(|why| (Some(place), why))?;
        fitters.iter_mut().for_each(|(_, fitter)| fitter.count(row));
        rows += 1;
        Ok(())
    })?;
    if rows == 0 {
        return Err(DataError::whole(data.file(), Wrong::NoGoodRows { skipped }));
    }
    let features = fitters.into_iter().map(|(column, fitter)| {
        let column = name(data, column);
        let code = fitter.finish().map_err(|why| DataError::column(data.file(), &column, why))?;
        Ok(Feature { column, code })
    });
    let inputs = match bytes {
        Some(bytes) => bytes,
        None => Inputs::Columns(features.collect::<Result<_, _>>()?),
    };
    let target = name(data, target);
    let counts = target_fitter.counts.clone();
    let found = target_fitter.finish(&target);
    let wrong = |why| DataError::column(data.file(), &target, why);
    let found = found.map_err(wrong)?;
    let labels = if let Target::Classes { labels, .. } = &found { labels.as_slice() } else { &[] };
    let weights = RowWeights::fit(run.weight.clone(), goal.class_weights, labels, &counts).map_err(wrong)?;
    Ok((Encoder { inputs, target: found, weights }, rows))
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

/// Bytes are not scaled, so there is nothing to fit; they are a model's only input.
fn bytes_of(data: &dyn Dataset, inputs: &[usize]) -> Result<Option<Inputs>, DataError> {
    let columns: Vec<_> = inputs.iter().filter_map(|column| data.columns().get(*column)).collect();
    let bytes = columns.iter().find_map(|column| match &column.kind {
        Kind::Bytes(sample) => Some((column.name.clone(), sample.clone())),
        _ => None,
    });
    match bytes {
        Some((column, sample)) if columns.len() == 1 => Ok(Some(Inputs::Bytes { column, sample })),
        Some((column, _)) => Err(DataError::column(data.file(), column, Wrong::NotAlone)),
        None => Ok(None),
    }
}

/// Undeclared columns are what they are in at most so many pieces of so many rows, evenly spread.
const SAMPLE_PIECES: u64 = 64;
const SAMPLE_PIECE: u64 = 4096;

/// A fitter for each input that is not ignored.
fn fitters(pass: Pass<'_>, run: &Data, inputs: &[usize]) -> Result<Vec<(usize, Fitter)>, DataError> {
    let declared = |column: usize| run.columns.get(&name(pass.data, column));
    let open: Vec<usize> = inputs.iter().copied().filter(|column| declared(*column).is_none()).collect();
    let mut profiles = vec![Profile::default(); open.len()];
    if !open.is_empty() {
        // By rows and not by blocks, which are others in another format.
        let stride = pass.data.rows().div_ceil(SAMPLE_PIECE * SAMPLE_PIECES).max(1);
        let sampled = |row: u64| (row / SAMPLE_PIECE).is_multiple_of(stride);
        let wanted = |row| sampled(row) && (pass.wanted)(row);
        let has_sampled = |block: &&Block| {
            let pieces = block.first / SAMPLE_PIECE..=(block.first + block.rows - 1) / SAMPLE_PIECE;
            pieces.into_iter().any(|piece| piece.is_multiple_of(stride))
        };
        let blocks: Vec<Block> = pass.blocks.iter().filter(has_sampled).copied().collect();
        let sample = Pass { blocks: &blocks, wanted: &wanted, done: &|_| (), ..pass };
        sample.each(&open, |_, cells| {
            profiles.iter_mut().zip(cells).for_each(|(profile, cell)| profile.add(*cell));
            Ok(())
        })?;
    }
    let mut inferred = profiles.iter().map(Profile::column);
    let mut fitters = Vec::new();
    for column in inputs {
        let meant = match declared(*column) {
            Some(meant) => Some(meant.clone()),
            None => inferred.next(),
        };
        let fitter = Fitter::new(&meant.unwrap_or(Meant::Ignore));
        let fitter =
            fitter.map_err(|why| DataError::column(pass.data.file(), name(pass.data, *column), why))?;
        fitters.extend(fitter.map(|fitter| (*column, fitter)));
    }
    Ok(fitters)
}

/// What the target's values are over the training rows.
struct TargetFitter {
    wanted: Wanted,
    /// Rows of each label.
    counts: BTreeMap<String, u64>,
    scale: TargetScale,
    moments: ColumnMoments,
}

impl TargetFitter {
    fn new(wanted: Wanted, scale: TargetScale) -> Self {
        Self { wanted, counts: BTreeMap::new(), scale, moments: ColumnMoments::default() }
    }

    fn add(&mut self, row: u64, cell: Cell<'_>) -> Result<(), Wrong> {
        if self.wanted == Wanted::Values {
            value_of(cell)?;
            self.moments.add(row, number_of(cell)?);
            return Ok(());
        }
        if matches!(cell, Cell::Missing | Cell::Bytes(_)) {
            return Err(Wrong::NoLabel);
        }
        let label = cell.spelled();
        match self.counts.get_mut(label.as_ref()) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(label.into_owned(), 1)),
        }
        Ok(())
    }

    fn finish(self, column: &str) -> Result<Target, Wrong> {
        let column = column.to_owned();
        if self.wanted == Wanted::Values {
            let (mean, deviation) = self.moments.finish();
            return Ok(match self.scale {
                TargetScale::None => Target::number(column),
                TargetScale::Standardize => Target::Values { column, mean, deviation: or_one(deviation) },
            });
        }
        let labels = order(self.counts.into_keys().collect());
        match (labels.as_slice(), self.wanted) {
            ([only], _) => Err(Wrong::OneClass(only.clone())),
            (_, Wanted::TwoClasses(loss)) if labels.len() != 2 => {
                Err(Wrong::NotTwoClasses { found: labels, loss })
            }
            _ => Ok(Target::Classes { column, labels }),
        }
    }
}

/// A number to learn: finite as f32.
pub(crate) fn value_of(cell: Cell<'_>) -> Result<f32, Wrong> {
    let value = number_of(cell)? as f32;
    if value.is_finite() { Ok(value) } else { Err(Wrong::NotNumber(cell.spelled().into())) }
}
