//! Encoding: from what a file holds to what a model sees.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use lockstep_core::run::spec::Source;

use crate::fit::find;
use crate::{
    Column, DataError, Dataset, Encoder, Features, Inputs, Kind, Scale, Table, Target, Targets, Values,
    Wrong, open,
};

/// Whether rows must have their target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetUse {
    /// To train and to evaluate.
    Required,
    /// To predict: the column may be missing or hold anything.
    Ignored,
}

impl Encoder {
    /// Encodes all rows of a file, in its order; relative paths start at `base`.
    ///
    /// # Errors
    /// As [`crate::open`], a column that the model needs is missing or of another kind, a cell is no
    /// number, or (unless ignored) a label is not one of the classes.
    pub fn encode_file(&self, source: &Source, base: &Path, targets: TargetUse) -> Result<Table, DataError> {
        self.encode(&*open(source, base)?, targets)
    }

    /// Encodes all rows of a dataset, in its order.
    ///
    /// # Errors
    /// As [`Encoder::encode_file`], but for opening.
    pub fn encode(&self, data: &dyn Dataset, targets: TargetUse) -> Result<Table, DataError> {
        self.encode_some(data, targets, &|_| true)
    }

    /// Encodes the rows that are `kept`, in the dataset's order.
    pub(crate) fn encode_some(
        &self,
        data: &dyn Dataset,
        targets: TargetUse,
        kept: &dyn Fn(u64) -> bool,
    ) -> Result<Table, DataError> {
        // The target first: a wrong file is more often seen there than in a cell.
        let targets = match targets {
            TargetUse::Required => self.targets(data, kept)?,
            TargetUse::Ignored => Targets::Absent,
        };
        let features = match &self.inputs {
            Inputs::Columns(scales) => numbers(data, scales, kept)?,
            Inputs::Bytes { column, sample } => bytes(data, column, sample, kept)?,
        };
        Table::new(self.sample(), features, targets).ok_or_else(|| too_big(data, self))
    }

    fn targets(&self, data: &dyn Dataset, kept: &dyn Fn(u64) -> bool) -> Result<Targets, DataError> {
        let column = find(data, self.target.column())?;
        match &self.target {
            Target::Classes { labels, .. } => {
                let classes: BTreeMap<&str, u32> = labels.iter().map(String::as_str).zip(0..).collect();
                let mut of = Vec::new();
                each(data, column, kept, |row, text| {
                    let class = classes.get(text).ok_or_else(|| {
                        cell(data, row, column, Wrong::NotClass { found: text.into(), known: labels.clone() })
                    });
                    of.push(*class?);
                    Ok(())
                })?;
                Ok(Targets::Classes { count: u32::try_from(labels.len()).unwrap_or(u32::MAX), of })
            }
            Target::Values { .. } => {
                let mut of = Vec::new();
                each(data, column, kept, |row, text| {
                    let value = number(data, row, column, text)? as f32;
                    if !value.is_finite() {
                        return Err(cell(data, row, column, Wrong::NotNumber(text.into())));
                    }
                    of.push(value);
                    Ok(())
                })?;
                Ok(Targets::Values { width: 1, of })
            }
        }
    }
}

/// The cell as a finite number.
pub(crate) fn number(data: &dyn Dataset, row: u64, column: usize, text: &str) -> Result<f64, DataError> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(cell(data, row, column, Wrong::NotNumber(text.into()))),
    }
}

/// A block's values as text; a byte is spelled as a number.
pub(crate) fn texts(values: &Values) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
    match values {
        Values::Text(text) => Box::new(text.iter().map(Cow::Borrowed)),
        Values::Bytes(bytes) => Box::new(bytes.iter().map(|byte| Cow::Owned(byte.to_string()))),
    }
}

fn each(
    data: &dyn Dataset,
    column: usize,
    kept: &dyn Fn(u64) -> bool,
    mut take: impl FnMut(u64, &str) -> Result<(), DataError>,
) -> Result<(), DataError> {
    for block in data.blocks() {
        for values in data.read(*block, &[column])? {
            for (row, text) in (block.first..).zip(texts(&values)).filter(|(row, _)| kept(*row)) {
                take(row, text.as_ref())?;
            }
        }
    }
    Ok(())
}

fn numbers(data: &dyn Dataset, scales: &[Scale], kept: &dyn Fn(u64) -> bool) -> Result<Features, DataError> {
    let mut columns = Vec::new();
    for scale in scales {
        let column = find(data, &scale.column)?;
        expect_kind(data, column, &Kind::Text)?;
        columns.push(column);
    }
    let width = scales.len();
    let mut all = Vec::new();
    for block in data.blocks() {
        let rows: Vec<u64> = (block.first..block.first + block.rows).filter(|row| kept(*row)).collect();
        let start = all.len();
        all.resize(start + rows.len() * width, 0.0f32);
        let block_rows = all.get_mut(start..).unwrap_or_default();
        for (i, values) in data.read(*block, &columns)?.iter().enumerate() {
            let (Some(scale), Some(column)) = (scales.get(i), columns.get(i)) else { continue };
            let texts = (block.first..).zip(texts(values)).filter(|(row, _)| kept(*row));
            for ((row, text), to) in texts.zip(block_rows.iter_mut().skip(i).step_by(width)) {
                *to = scale.apply(number(data, row, *column, text.as_ref())?);
            }
        }
    }
    Ok(Features::F32(all))
}

fn bytes(
    data: &dyn Dataset,
    column: &str,
    sample: &[usize],
    kept: &dyn Fn(u64) -> bool,
) -> Result<Features, DataError> {
    let column = find(data, column)?;
    expect_kind(data, column, &Kind::Bytes(sample.to_vec()))?;
    let width = sample.iter().product::<usize>().max(1);
    let mut all = Vec::new();
    for block in data.blocks() {
        for values in data.read(*block, &[column])? {
            let Values::Bytes(values) = values else { continue };
            for (row, image) in (block.first..).zip(values.chunks_exact(width)) {
                if kept(row) {
                    all.extend_from_slice(image);
                }
            }
        }
    }
    Ok(Features::U8(all))
}

fn expect_kind(data: &dyn Dataset, column: usize, expected: &Kind) -> Result<(), DataError> {
    let describe = |kind: &Kind| match kind {
        Kind::Text => "text".to_owned(),
        Kind::Bytes(sample) => {
            let sizes: Vec<String> = sample.iter().map(ToString::to_string).collect();
            format!("bytes of shape [{}]", sizes.join(", "))
        }
    };
    match data.columns().get(column) {
        Some(Column { name, kind }) if kind != expected => {
            let what = Wrong::Unlike { found: describe(kind), expected: describe(expected) };
            Err(DataError::column(data.file(), name, what))
        }
        _ => Ok(()),
    }
}

fn cell(data: &dyn Dataset, row: u64, column: usize, what: Wrong) -> DataError {
    let column = data.columns().get(column).map(|column| column.name.clone());
    DataError { file: data.file().into(), place: data.place(row), column, what }
}

fn too_big(data: &dyn Dataset, encoder: &Encoder) -> DataError {
    let width = encoder.sample().iter().fold(1usize, |all, size| all.saturating_mul(*size));
    DataError::whole(data.file(), Wrong::TooBig { rows: data.rows(), width })
}
