//! Encoding: from what a file holds to what a model sees.

use std::collections::BTreeMap;
use std::path::Path;

use lockstep_core::run::spec::{OnBadRow, Reading, Source};

use crate::coder::{Coder, number_of};
use crate::fit::{find, value_of};
use crate::pass::Pass;
use crate::weigh::weight_of;
use crate::{
    Cell, Column, DataError, Dataset, Encoder, Feature, Features, Inputs, Kind, RowWeights, Table, Target,
    Targets, Values, Wrong, open,
};

/// Whether rows must have their target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetUse {
    /// To train and to evaluate.
    Required,
    /// To predict: the column may be missing or hold anything.
    Ignored,
}

/// How rows are taken.
#[derive(Clone, Copy, Debug)]
pub struct Taking<'a> {
    /// How files are read.
    pub reading: &'a Reading,
    /// Whether they need their target.
    pub targets: TargetUse,
    /// What becomes of bad ones.
    pub on_bad_row: OnBadRow,
}

impl Encoder {
    /// Encodes the good rows of a file, in its order, and gives the number of bad ones; relative paths
    /// start at `base`.
    ///
    /// # Errors
    /// As [`crate::open`], a column that the model needs is missing or of another kind, no row is good,
    /// or a row is bad and not skipped: a cell is not what its column holds, or (unless ignored) a label
    /// is not one of the classes.
    pub fn encode_file(
        &self,
        source: &Source,
        base: &Path,
        taking: Taking<'_>,
    ) -> Result<(Table, u64), DataError> {
        let data = open(source, taking.reading, base)?;
        let Taking { reading, on_bad_row, .. } = taking;
        let pass = Pass { data: &*data, reading, on_bad_row, wanted: &|_| true };
        self.encode(pass, taking.targets)
    }

    /// Encodes the good rows of a pass, in order, and gives the number of bad ones.
    pub(crate) fn encode(&self, pass: Pass<'_>, targets: TargetUse) -> Result<(Table, u64), DataError> {
        let data = pass.data;
        // The target first: a wrong file is more often seen there than in a column of many.
        let target = match targets {
            TargetUse::Required => Some(find(data, self.target.column())?),
            TargetUse::Ignored => None,
        };
        let features = match &self.inputs {
            Inputs::Columns(features) => features.as_slice(),
            Inputs::Bytes { .. } => &[],
        };
        let weights = self.weights.as_ref().filter(|_| target.is_some());
        let mut rows = Rows::new(features, target.map(|_| &self.target), weights);
        let mut columns = Vec::new();
        for feature in features {
            let column = find(data, &feature.column)?;
            if let Some(Column { kind: kind @ Kind::Bytes(_), .. }) = data.columns().get(column) {
                let what = Wrong::Unlike { found: kind.describe(), expected: "a value a row".into() };
                return Err(DataError::column(data.file(), &feature.column, what));
            }
            columns.push(column);
        }
        columns.extend(target);
        if let Some(column) = weights.and(self.weight_column()) {
            columns.push(find(data, column)?);
        }
        let skipped = pass.each(&columns, |row, cells| rows.add(row, cells))?;
        if rows.good.is_empty() {
            return Err(DataError::whole(data.file(), Wrong::NoGoodRows { skipped }));
        }
        let x = match &self.inputs {
            Inputs::Columns(_) => Features::F32(rows.x),
            Inputs::Bytes { column, sample } => bytes(data, column, sample, &rows.good)?,
        };
        let too_big = Wrong::TooBig { rows: rows.good.len() as u64, width: rows.width };
        let table = Table::new(self.sample(), x, rows.targets);
        let table = table.and_then(|table| table.embedded(self.embeddings()));
        let table = match weights {
            Some(_) if rows.weights.iter().all(|weight| *weight == 0.0) => {
                return Err(DataError::whole(data.file(), Wrong::NoWeight));
            }
            Some(_) => table.and_then(|table| table.weighted(rows.weights)),
            None => table,
        };
        Ok((table.ok_or_else(|| DataError::whole(data.file(), too_big))?, skipped))
    }
}

/// Rows as they are encoded.
struct Rows<'a> {
    coders: Vec<Coder<'a>>,
    width: usize,
    x: Vec<f32>,
    target: Option<&'a Target>,
    labels: &'a [String],
    classes: BTreeMap<&'a str, u32>,
    targets: Targets,
    weighing: Option<&'a RowWeights>,
    weights: Vec<f32>,
    /// Which rows they are.
    good: Vec<u64>,
}

impl<'a> Rows<'a> {
    fn new(features: &'a [Feature], target: Option<&'a Target>, weighing: Option<&'a RowWeights>) -> Self {
        let coders: Vec<_> = features.iter().map(Coder::new).collect();
        let labels = match target {
            Some(Target::Classes { labels, .. }) => labels.as_slice(),
            _ => &[],
        };
        let targets = match target {
            Some(Target::Classes { labels, .. }) => {
                Targets::Classes { count: u32::try_from(labels.len()).unwrap_or(u32::MAX), of: Vec::new() }
            }
            Some(Target::Values { .. }) => Targets::Values { width: 1, of: Vec::new() },
            None => Targets::Absent,
        };
        Self {
            width: coders.iter().map(Coder::width).sum(),
            coders,
            x: Vec::new(),
            target,
            labels,
            classes: labels.iter().map(String::as_str).zip(0..).collect(),
            targets,
            weighing,
            weights: Vec::new(),
            good: Vec::new(),
        }
    }

    fn add(&mut self, row: u64, cells: &[Cell<'_>]) -> Result<(), crate::pass::Bad> {
        let start = self.x.len();
        self.x.resize(start + self.width, 0.0);
        let added = self.fill(start, cells);
        match added {
            Ok(()) => self.good.push(row),
            Err(_) => self.x.truncate(start),
        }
        added
    }

    fn fill(&mut self, start: usize, cells: &[Cell<'_>]) -> Result<(), crate::pass::Bad> {
        let mut rest = self.x.get_mut(start..).unwrap_or_default();
        for (i, (coder, cell)) in self.coders.iter().zip(cells).enumerate() {
            let (to, after) = rest.split_at_mut_checked(coder.width()).unwrap_or_default();
            coder.encode(*cell, to).map_err(|why| (Some(i), why))?;
            rest = after;
        }
        let place = self.coders.len();
        let cell = |place: usize| cells.get(place).copied().unwrap_or(Cell::Missing);
        let own = match self.weighing {
            Some(RowWeights { column: Some(_), .. }) => {
                weight_of(cell(place + 1)).map_err(|why| (Some(place + 1), why))?
            }
            _ => 1.0,
        };
        // Last, because it is what is left behind.
        let (cell, place, mut class_of_row) = (cell(place), Some(place), None);
        let target = self.target;
        match &mut self.targets {
            Targets::Absent => {}
            Targets::Values { of, .. } => {
                value_of(cell).map_err(|why| (place, why))?;
                let value = number_of(cell).map_err(|why| (place, why))?;
                let learnt = target.map_or(value as f32, |target| target.learnt(value));
                if !learnt.is_finite() {
                    return Err((place, Wrong::NotNumber(cell.spelled().into())));
                }
                of.push(learnt);
            }
            Targets::Classes { of, .. } => {
                let label = cell.spelled();
                let class = self.classes.get(label.as_ref()).ok_or_else(|| {
                    (place, Wrong::NotClass { found: label.into_owned(), known: self.labels.to_vec() })
                });
                class_of_row = Some(*class?);
                of.extend(class_of_row);
            }
        }
        self.weights.extend(self.weighing.map(|weights| weights.of(own, class_of_row)));
        Ok(())
    }
}

fn bytes(data: &dyn Dataset, column: &str, sample: &[usize], good: &[u64]) -> Result<Features, DataError> {
    let index = find(data, column)?;
    let expected = Kind::Bytes(sample.to_vec());
    let unlike = |found: String| {
        DataError::column(data.file(), column, Wrong::Unlike { found, expected: expected.describe() })
    };
    if let Some(there) = data.columns().get(index).filter(|there| there.kind != expected) {
        return Err(unlike(there.kind.describe()));
    }
    let mut all = Vec::new();
    let mut good = good.iter().copied().peekable();
    for block in data.blocks() {
        for values in data.read(*block, &[index])? {
            // Of several files, one may be made otherwise.
            let Values::Bytes(values) = values else { return Err(unlike("other values".into())) };
            for (row, image) in (block.first..).zip(values.iter()) {
                if good.next_if_eq(&row).is_some() {
                    all.extend_from_slice(image.unwrap_or_default());
                }
            }
        }
    }
    Ok(Features::U8(all))
}
