//! Rows as numbers, in memory.

use lockstep_core::ops::embedding::{Embedding, index};
use serde::{Deserialize, Serialize};

/// What a table is, without its rows: a worker learns it when it joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// How many rows.
    pub rows: u64,
    /// The shape of a row's features: `[28, 28]` for an image, `[30]` for 30 columns.
    pub sample: Vec<usize>,
    /// How features are stored.
    pub features: FeatureType,
    /// What targets are.
    pub targets: TargetType,
    /// Whether rows have weights; if not, each weighs 1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weights: bool,
    /// Which of a row's features are indices, in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub embeddings: Vec<Embedding>,
}

impl Shape {
    /// Features in a row; `None` if there are none or more than can be addressed.
    pub fn width(&self) -> Option<usize> {
        self.sample.iter().try_fold(1usize, |all, size| all.checked_mul(*size)).filter(|width| *width > 0)
    }
}

/// How features are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureType {
    /// As the model sees them.
    F32,
    /// As bytes; the model sees byte/255.
    U8,
}

/// What targets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetType {
    /// One of so many classes.
    Classes(u32),
    /// So many numbers.
    Values(usize),
    /// There are none: rows to predict.
    Absent,
}

/// Features of all rows, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// As the model sees them.
    F32(Vec<f32>),
    /// As bytes; the model sees byte/255.
    U8(Vec<u8>),
}

/// Targets of all rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// A class a row, each below `count`.
    Classes {
        /// How many classes there are.
        count: u32,
        /// The class of each row.
        of: Vec<u32>,
    },
    /// `width` numbers a row, row-major.
    Values {
        /// Numbers a row.
        width: usize,
        /// Of all rows.
        of: Vec<f32>,
    },
    /// There are none: rows to predict.
    Absent,
}

/// Where the targets of gathered rows go.
#[derive(Debug)]
pub enum TargetsMut<'a> {
    /// A class a row.
    Classes(&'a mut [u32]),
    /// The table's target width of numbers a row.
    Values(&'a mut [f32]),
    /// Nowhere.
    Ignored,
}

/// Rows cannot be gathered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatherError {
    /// The table is shorter.
    #[error("row {row} of a table of {rows} rows")]
    NoRow {
        /// Asked for.
        row: u64,
        /// Rows of the table.
        rows: u64,
    },
    /// A place for another number of values, or for targets of another kind.
    #[error("the place for {what} has another size or kind than the rows")]
    Place {
        /// `features`, `targets` or `rows`.
        what: &'static str,
    },
}

/// Rows in memory: as many targets and features as there are rows, classes below their count.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    rows: u64,
    width: usize,
    sample: Vec<usize>,
    features: Features,
    targets: Targets,
    weights: Option<Vec<f32>>,
    embeddings: Vec<Embedding>,
}

impl Table {
    /// `None` if the parts do not agree with each other: features or targets of other row counts, a
    /// row without features, a class that is not below the count.
    pub fn new(sample: Vec<usize>, features: Features, targets: Targets) -> Option<Self> {
        let width = sample.iter().try_fold(1usize, |all, size| all.checked_mul(*size))?;
        let values = features.len();
        if width == 0 || !values.is_multiple_of(width) {
            return None;
        }
        let rows = values / width;
        let agree = match &targets {
            Targets::Classes { count, of } => of.len() == rows && of.iter().all(|class| class < count),
            Targets::Values { width, of } => *width > 0 && rows.checked_mul(*width) == Some(of.len()),
            Targets::Absent => true,
        };
        agree.then_some(Self {
            rows: rows as u64,
            width,
            sample,
            features,
            targets,
            weights: None,
            embeddings: Vec::new(),
        })
    }

    /// With a weight a row. `None` if there is not one for every row, or one that is below 0 or not finite.
    pub fn weighted(self, weights: Vec<f32>) -> Option<Self> {
        let fit = weights.len() as u64 == self.rows && weights.iter().copied().all(is_weight);
        fit.then_some(Self { weights: Some(weights), ..self })
    }

    /// With features that are indices. `None` if a row has one that is none, as bytes never are.
    pub fn embedded(self, embeddings: Vec<Embedding>) -> Option<Self> {
        let fit = embeddings.is_empty()
            || match &self.features {
                Features::F32(values) => {
                    values.chunks_exact(self.width).all(|row| are_indices(&embeddings, row))
                }
                Features::U8(_) => false,
            };
        fit.then_some(Self { embeddings, ..self })
    }

    /// How many rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Features in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The features as stored.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// The targets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The weight of each row, if they have any.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// What the table is, without its rows.
    pub fn shape(&self) -> Shape {
        let features = match self.features {
            Features::F32(_) => FeatureType::F32,
            Features::U8(_) => FeatureType::U8,
        };
        let targets = match self.targets {
            Targets::Classes { count, .. } => TargetType::Classes(count),
            Targets::Values { width, .. } => TargetType::Values(width),
            Targets::Absent => TargetType::Absent,
        };
        Shape {
            rows: self.rows,
            sample: self.sample.clone(),
            features,
            targets,
            weights: self.weights.is_some(),
            embeddings: self.embeddings.clone(),
        }
    }

    /// Copies rows, in the order given, as the model sees them: `x` is \[rows, width\], row-major.
    ///
    /// # Errors
    /// A row that is not there, or a place of another size or kind. What was written is unspecified.
    pub fn gather(
        &self,
        rows: &[u64],
        x: &mut [f32],
        mut targets: TargetsMut<'_>,
    ) -> Result<(), GatherError> {
        self.check_places(rows.len(), x, &targets)?;
        self.scatter(rows.iter().copied().enumerate(), x, &mut targets)
    }

    /// Whether `x` and `targets` are places for so many rows.
    pub(crate) fn check_places(
        &self,
        rows: usize,
        x: &[f32],
        targets: &TargetsMut<'_>,
    ) -> Result<(), GatherError> {
        if rows.checked_mul(self.width) != Some(x.len()) {
            return Err(GatherError::Place { what: "features" });
        }
        let fit = match (&self.targets, targets) {
            (_, TargetsMut::Ignored) => true,
            (Targets::Classes { .. }, TargetsMut::Classes(to)) => to.len() == rows,
            (Targets::Values { width, .. }, TargetsMut::Values(to)) => {
                rows.checked_mul(*width) == Some(to.len())
            }
            _ => false,
        };
        if fit { Ok(()) } else { Err(GatherError::Place { what: "targets" }) }
    }

    /// Copies rows to places: of each pair, the second row of the table to the first place.
    pub(crate) fn scatter(
        &self,
        picks: impl Iterator<Item = (usize, u64)> + Clone,
        x: &mut [f32],
        targets: &mut TargetsMut<'_>,
    ) -> Result<(), GatherError> {
        let width = self.width;
        match &self.features {
            Features::F32(all) => {
                self.each(picks.clone(), all, x, width, |from, to| to.copy_from_slice(from))
            }
            Features::U8(all) => self.each(picks.clone(), all, x, width, |from, to| {
                for (to, byte) in to.iter_mut().zip(from) {
                    *to = DECODED[usize::from(*byte)];
                }
            }),
        }?;
        match (&self.targets, targets) {
            (Targets::Classes { of, .. }, TargetsMut::Classes(to)) => self.each(picks, of, to, 1, copy),
            (Targets::Values { width, of }, TargetsMut::Values(to)) => self.each(picks, of, to, *width, copy),
            _ => Ok(()),
        }
    }

    /// Copies the weights of rows, in the order given; empties `to` if rows have none.
    ///
    /// # Errors
    /// A row that is not there. What was written is unspecified.
    pub fn gather_weights(&self, rows: &[u64], to: &mut Vec<f32>) -> Result<(), GatherError> {
        to.clear();
        if self.weights.is_some() {
            to.resize(rows.len(), 0.0);
        }
        self.scatter_weights(rows.iter().copied().enumerate(), to)
    }

    /// As [`Table::scatter`]; nothing if rows have no weights.
    pub(crate) fn scatter_weights(
        &self,
        picks: impl Iterator<Item = (usize, u64)>,
        to: &mut [f32],
    ) -> Result<(), GatherError> {
        self.weights.as_ref().map_or(Ok(()), |weights| self.each(picks, weights, to, 1, copy))
    }

    #[inline(always)]
    fn each<T, U>(
        &self,
        picks: impl Iterator<Item = (usize, u64)>,
        all: &[T],
        to: &mut [U],
        width: usize,
        write: impl Fn(&[T], &mut [U]),
    ) -> Result<(), GatherError> {
        for (place, row) in picks {
            let start = usize::try_from(row).ok().and_then(|row| row.checked_mul(width));
            let from = start.and_then(|start| all.get(start..start.checked_add(width)?));
            let from = from.ok_or(GatherError::NoRow { row, rows: self.rows })?;
            let to = to.get_mut(place * width..(place + 1) * width);
            write(from, to.ok_or(GatherError::Place { what: "rows" })?);
        }
        Ok(())
    }
}

/// Whether a row has indices where it should.
pub(crate) fn are_indices(embeddings: &[Embedding], row: &[f32]) -> bool {
    embeddings.iter().all(|of| row.get(of.place).is_some_and(|value| index(*value, of.values).is_some()))
}

/// Whether a row may weigh so much: finite, and not below 0.
pub(crate) fn is_weight(weight: f32) -> bool {
    weight.is_finite() && weight >= 0.0
}

impl Features {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::U8(values) => values.len(),
        }
    }
}

/// Byte/255 for every byte.
static DECODED: [f32; 256] = {
    let mut table = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte as f32 / 255.0;
        byte += 1;
    }
    table
};

fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    to.copy_from_slice(from);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(features: Features) -> Table {
        Table::new(vec![1, 2], features, Targets::Classes { count: 3, of: vec![2, 0, 1] }).unwrap()
    }

    #[test]
    fn rows_come_in_the_order_asked_for() {
        let table = table(Features::F32(vec![0.0, 0.5, 1.0, 1.5, 2.0, 2.5]));
        let (mut x, mut classes) = ([9.0; 6], [9; 3]);
        table.gather(&[2, 0, 2], &mut x, TargetsMut::Classes(&mut classes)).unwrap();
        assert_eq!(x, [2.0, 2.5, 0.0, 0.5, 2.0, 2.5]);
        assert_eq!(classes, [1, 2, 1]);
        table.gather(&[], &mut [], TargetsMut::Ignored).unwrap();
    }

    #[test]
    fn indices_are_below_their_number() {
        let table = |x: f32| table(Features::F32(vec![0.5, 1.0, 0.5, x, 0.5, 0.0]));
        let of = |place, values| vec![Embedding { name: "a".into(), place, values, width: 4 }];
        let embedded = table(2.0).embedded(of(1, 3)).unwrap();
        assert_eq!(embedded.shape().embeddings, of(1, 3));
        assert!(table(2.0).embedded(of(1, 2)).is_none());
        assert!(table(1.5).embedded(of(1, 3)).is_none());
        assert!(table(2.0).embedded(of(2, 3)).is_none());
    }

    #[test]
    fn rows_may_have_weights() {
        let plain = table(Features::U8(vec![0; 6]));
        assert!(plain.clone().weighted(vec![1.0, 2.0]).is_none());
        for bad in [-1.0, f32::NAN, f32::INFINITY] {
            assert!(plain.clone().weighted(vec![1.0, bad, 0.0]).is_none());
        }
        let table = plain.clone().weighted(vec![0.5, 2.0, 0.0]).unwrap();
        assert_ne!(table.shape(), plain.shape());
        let mut weights = vec![9.0; 7];
        table.gather_weights(&[1, 0, 1], &mut weights).unwrap();
        assert_eq!(weights, [2.0, 0.5, 2.0]);
        assert!(table.gather_weights(&[3], &mut weights).is_err());
        plain.gather_weights(&[1], &mut weights).unwrap();
        assert!(weights.is_empty());
    }

    #[test]
    fn bytes_are_divided_by_255() {
        let bytes: Vec<u8> = (0..=255).collect();
        let table = Table::new(vec![256], Features::U8(bytes), Targets::Absent).unwrap();
        let mut x = [0.0; 256];
        table.gather(&[0], &mut x, TargetsMut::Ignored).unwrap();
        for (byte, value) in x.iter().enumerate() {
            assert_eq!(*value, byte as f32 / 255.0);
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let table = table(Features::U8(vec![0; 6]));
        let gather =
            |rows: &[u64], x: usize, targets: TargetsMut<'_>| table.gather(rows, &mut vec![0.0; x], targets);
        for row in [3, u64::MAX, u64::MAX / 2 + 1] {
            assert_eq!(gather(&[0, row], 4, TargetsMut::Ignored), Err(GatherError::NoRow { row, rows: 3 }));
        }
        assert_eq!(gather(&[0], 3, TargetsMut::Ignored), Err(GatherError::Place { what: "features" }));
        let wrong = Err(GatherError::Place { what: "targets" });
        assert_eq!(gather(&[0], 2, TargetsMut::Classes(&mut [0; 2])), wrong);
        assert_eq!(gather(&[0], 2, TargetsMut::Values(&mut [0.0])), wrong);
    }

    #[test]
    fn parts_that_disagree_are_no_table() {
        let x = || Features::U8(vec![0; 6]);
        let classes = |count, of: &[u32]| Targets::Classes { count, of: of.to_vec() };
        assert!(Table::new(vec![2], x(), classes(2, &[0, 1, 1])).is_some());
        assert!(Table::new(vec![2], x(), classes(2, &[0, 1])).is_none());
        assert!(Table::new(vec![2], x(), classes(2, &[0, 1, 2])).is_none());
        assert!(Table::new(vec![4], x(), Targets::Absent).is_none());
        assert!(Table::new(vec![0], x(), Targets::Absent).is_none());
        assert!(Table::new(vec![usize::MAX, 2], x(), Targets::Absent).is_none());
        assert!(Table::new(vec![2], x(), Targets::Values { width: 2, of: vec![0.0; 6] }).is_some());
        assert!(Table::new(vec![2], x(), Targets::Values { width: 0, of: vec![] }).is_none());
    }
}
