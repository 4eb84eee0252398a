//! Encoding: from what a file holds to what a model sees.

use std::collections::BTreeMap;

use crate::coder::{Coder, number_of};
use crate::fit::{find, value_of};
use crate::pass::Pass;
use crate::weigh::weight_of;
use crate::{
    Cell, Column, DataError, Dataset, Encoder, Feature, Features, Inputs, Kind, RowWeights, Table, Target,
    TargetUse, Targets, Wrong,
};

impl Encoder {
    /// As [`Encoder::encode`], of a pass that must have good rows.
    pub(crate) fn encode_some(&self, pass: Pass<'_>, targets: TargetUse) -> Result<(Table, u64), DataError> {
        let (table, skipped) = self.encode(pass, targets)?;
        if table.rows() == 0 {
            return Err(DataError::whole(pass.data.file(), Wrong::NoGoodRows { skipped }));
        }
        if table.weights().is_some_and(|weights| weights.iter().all(|weight| *weight == 0.0)) {
            return Err(DataError::whole(pass.data.file(), Wrong::NoWeight));
        }
        Ok((table, skipped))
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
        if let Inputs::Bytes { column, sample } = &self.inputs {
            rows.picture = Some(Picture { place: columns.len(), sample });
            columns.push(picture(data, column, sample)?);
        }
        let skipped = pass.each(&columns, |_, cells| rows.add(cells))?;
        let x = match &self.inputs {
            Inputs::Columns(_) => Features::F32(rows.x),
            Inputs::Bytes { .. } => Features::U8(rows.bytes),
        };
        let too_big = Wrong::TooBig { rows: rows.good, width: rows.width };
        let table = Table::new(self.sample(), x, rows.targets);
        let table = table.and_then(|table| table.embedded(self.embeddings()));
        let table = match weights {
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
    /// Where a row's bytes are, if those are what goes in.
    picture: Option<Picture<'a>>,
    bytes: Vec<u8>,
    /// How many there are.
    good: u64,
}

/// Which of the cells is a picture, and its shape.
struct Picture<'a> {
    place: usize,
    sample: &'a [usize],
}

impl Picture<'_> {
    fn of<'c>(&self, cells: &[Cell<'c>]) -> Result<&'c [u8], crate::pass::Bad> {
        let length = self.sample.iter().product::<usize>();
        match cells.get(self.place) {
            Some(Cell::Bytes(bytes)) if bytes.len() == length => Ok(bytes),
            // Of several files, one may be made otherwise.
            _ => {
                let expected = Kind::Bytes(self.sample.to_vec()).describe();
                Err((Some(self.place), Wrong::Unlike { found: "other values".into(), expected }))
            }
        }
    }
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
            picture: None,
            bytes: Vec::new(),
            good: 0,
        }
    }

    fn add(&mut self, cells: &[Cell<'_>]) -> Result<(), crate::pass::Bad> {
        let picture = self.picture.as_ref().map(|picture| picture.of(cells)).transpose()?;
        let start = self.x.len();
        self.x.resize(start + self.width, 0.0);
        let added = self.fill(start, cells);
        match added {
            Ok(()) => {
                self.bytes.extend_from_slice(picture.unwrap_or_default());
                self.good += 1;
            }
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

/// The column of pictures of this shape.
fn picture(data: &dyn Dataset, column: &str, sample: &[usize]) -> Result<usize, DataError> {
    let index = find(data, column)?;
    let expected = Kind::Bytes(sample.to_vec());
    match data.columns().get(index) {
        Some(there) if there.kind != expected => {
            let (found, expected) = (there.kind.describe(), expected.describe());
            Err(DataError::column(data.file(), column, Wrong::Unlike { found, expected }))
        }
        _ => Ok(index),
    }
}
