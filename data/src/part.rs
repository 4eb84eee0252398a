//! Rows on their way from the coordinator to a worker.
//!
//! ```text
//! first row u64 | rows u64 | features, row-major, f32 or u8 | targets, u32 or f32 | weights, f32      little-endian
//! ```
//!
//! Weights are there if the rows have any. Types and widths are the [`Shape`]'s, which both sides have; parts come in order, from row 0.

use std::ops::Range;

use crate::table::is_weight;
use crate::{FeatureType, Features, GatherError, Shape, Table, TargetType, Targets};
use lockstep_core::ops::embedding::index;

/// Why a part is refused, or rows are no table.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PartError {
    /// The shape has no features, no target values, no classes, or sizes that overflow.
    #[error("the announced shape is impossible")]
    Shape,
    /// Shorter than its header.
    #[error("{0} bytes are shorter than a header")]
    Header(usize),
    /// Not the rows that come next.
    #[error("expected rows from {expected} on, found {found}")]
    Order {
        /// The next row.
        expected: u64,
        /// The part's first row.
        found: u64,
    },
    /// No rows, or more than are still missing.
    #[error("a part of {found} rows, {missing} are missing")]
    Rows {
        /// Rows of the part.
        found: u64,
        /// Rows still missing.
        missing: u64,
    },
    /// The table is asked for before all rows have come.
    #[error("{0} rows have not come")]
    Missing(u64),
    /// The bytes are not those of so many rows.
    #[error("a part of {rows} rows has {found} bytes, expected {expected}")]
    Length {
        /// Rows of the part.
        rows: u64,
        /// Bytes after the header.
        found: u64,
        /// Bytes of so many rows.
        expected: u64,
    },
    /// A class that is not below the count.
    #[error("class {found} of {count}")]
    Class {
        /// As sent.
        found: u32,
        /// Classes of the shape.
        count: u32,
    },
    /// A feature that should be one.
    #[error("a value is no index of its embedding")]
    Index,
    /// A weight below 0, NaN or infinite.
    #[error("a row's weight is {0}")]
    Weight(f32),
    /// NaN or infinite.
    #[error("a value is not finite")]
    NotFinite,
    /// This machine cannot hold the rows.
    #[error("the rows do not fit in memory")]
    Memory,
}

impl Table {
    /// The bytes of some rows.
    ///
    /// # Errors
    /// The range reaches past the table's end.
    pub fn part(&self, rows: Range<u64>) -> Result<Vec<u8>, GatherError> {
        let outside = || GatherError::NoRow { row: rows.end, rows: self.rows() };
        if rows.start > rows.end || rows.end > self.rows() {
            return Err(outside());
        }
        let of = |width: usize| -> Option<Range<usize>> {
            let at = |row: u64| usize::try_from(row).ok()?.checked_mul(width);
            Some(at(rows.start)?..at(rows.end)?)
        };
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&rows.start.to_le_bytes());
        bytes.extend_from_slice(&(rows.end - rows.start).to_le_bytes());
        let features = of(self.width()).ok_or_else(outside)?;
        match self.features() {
            Features::F32(all) => {
                put(&mut bytes, all.get(features).ok_or_else(outside)?, |x| x.to_le_bytes())
            }
            Features::U8(all) => bytes.extend_from_slice(all.get(features).ok_or_else(outside)?),
        }
        match self.targets() {
            Targets::Classes { of: all, .. } => {
                let all = of(1).and_then(|range| all.get(range)).ok_or_else(outside)?;
                put(&mut bytes, all, |class| class.to_le_bytes());
            }
            Targets::Values { width, of: all } => {
                let all = of(*width).and_then(|range| all.get(range)).ok_or_else(outside)?;
                put(&mut bytes, all, |value| value.to_le_bytes());
            }
            Targets::Absent => {}
        }
        if let Some(weights) = self.weights() {
            let weights = of(1).and_then(|range| weights.get(range)).ok_or_else(outside)?;
            put(&mut bytes, weights, |weight| weight.to_le_bytes());
        }
        Ok(bytes)
    }
}

/// A table that arrives in parts. Memory grows with what has come, not with what was announced.
#[derive(Debug)]
pub struct Receiver {
    shape: Shape,
    width: usize,
    rows: u64,
    features: Features,
    targets: Targets,
    weights: Vec<f32>,
}

impl Receiver {
    /// Waits for the rows of a table of that shape.
    ///
    /// # Errors
    /// The shape is impossible.
    pub fn new(shape: Shape) -> Result<Self, PartError> {
        let width = shape.width().ok_or(PartError::Shape)?;
        if matches!(shape.targets, TargetType::Classes(0) | TargetType::Values(0)) {
            return Err(PartError::Shape);
        }
        let places = shape.embeddings.iter().all(|of| of.place < width);
        if !places || shape.features == FeatureType::U8 && !shape.embeddings.is_empty() {
            return Err(PartError::Shape);
        }
        let features = match shape.features {
            FeatureType::F32 => Features::F32(Vec::new()),
            FeatureType::U8 => Features::U8(Vec::new()),
        };
        let targets = match shape.targets {
            TargetType::Classes(count) => Targets::Classes { count, of: Vec::new() },
            TargetType::Values(width) => Targets::Values { width, of: Vec::new() },
            TargetType::Absent => Targets::Absent,
        };
        Ok(Self { shape, width, rows: 0, features, targets, weights: Vec::new() })
    }

    /// Rows that have come; the next part starts there.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// The part is malformed, out of order, or disagrees with the shape; then nothing has changed.
    pub fn append(&mut self, part: &[u8]) -> Result<(), PartError> {
        let short = || PartError::Header(part.len());
        let (first, rest) = part.split_first_chunk::<8>().ok_or_else(short)?;
        let (rows, body) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        let (first, rows) = (u64::from_le_bytes(*first), u64::from_le_bytes(*rows));
        if first != self.rows {
            return Err(PartError::Order { expected: self.rows, found: first });
        }
        let missing = self.shape.rows - self.rows;
        if rows == 0 || rows > missing {
            return Err(PartError::Rows { found: rows, missing });
        }
        let [features, targets, weights] = self.split(rows, body)?;
        check(&self.features, &self.targets, features, targets)?;
        self.check_indices(features)?;
        let weight = |word: &[u8; 4]| f32::from_le_bytes(*word);
        if let Some(bad) = words(weights).iter().map(weight).find(|weight| !is_weight(*weight)) {
            return Err(PartError::Weight(bad));
        }
        // What can fail for want of memory comes first.
        self.weights.try_reserve(weights.len() / 4).map_err(|_| PartError::Memory)?;
        match &mut self.features {
            Features::F32(all) => take(all, features, f32::from_le_bytes)?,
            Features::U8(all) => {
                all.try_reserve(features.len()).map_err(|_| PartError::Memory)?;
                all.extend_from_slice(features);
            }
        }
        let taken = match &mut self.targets {
            Targets::Classes { of, .. } => take(of, targets, u32::from_le_bytes),
            Targets::Values { of, .. } => take(of, targets, f32::from_le_bytes),
            Targets::Absent => Ok(()),
        };
        if let Err(error) = taken {
            self.cut_features();
            return Err(error);
        }
        take(&mut self.weights, weights, f32::from_le_bytes)?;
        self.rows += rows;
        Ok(())
    }

    /// The table, once every row has come.
    ///
    /// # Errors
    /// Rows are missing.
    pub fn finish(self) -> Result<Table, PartError> {
        let missing = self.shape.rows - self.rows;
        if missing > 0 {
            return Err(PartError::Missing(missing));
        }
        let table = Table::new(self.shape.sample, self.features, self.targets);
        let table = table.and_then(|table| table.embedded(self.shape.embeddings));
        let weighted = table
            .and_then(|table| if self.shape.weights { table.weighted(self.weights) } else { Some(table) });
        weighted.ok_or(PartError::Shape)
    }

    fn split<'a>(&self, rows: u64, body: &'a [u8]) -> Result<[&'a [u8]; 3], PartError> {
        let feature_bytes = match self.features {
            Features::F32(_) => self.width.checked_mul(4),
            Features::U8(_) => Some(self.width),
        };
        let target_bytes = match self.targets {
            Targets::Classes { .. } => Some(4),
            Targets::Values { width, .. } => width.checked_mul(4),
            Targets::Absent => Some(0),
        };
        let times = |bytes: Option<usize>| bytes?.checked_mul(usize::try_from(rows).ok()?);
        let (features, targets) = times(feature_bytes).zip(times(target_bytes)).ok_or(PartError::Shape)?;
        let weights = times(Some(if self.shape.weights { 4 } else { 0 })).ok_or(PartError::Shape)?;
        let both = features.checked_add(targets).ok_or(PartError::Shape)?;
        let expected = both.checked_add(weights).ok_or(PartError::Shape)?;
        match body.split_at_checked(both).zip(body.split_at_checked(features)) {
            Some(((_, weights), (features, rest))) if body.len() == expected => {
                Ok([features, rest.get(..targets).unwrap_or_default(), weights])
            }
            _ => Err(PartError::Length { rows, found: body.len() as u64, expected: expected as u64 }),
        }
    }

    fn check_indices(&self, features: &[u8]) -> Result<(), PartError> {
        let number = |row: &[[u8; 4]], place: usize| row.get(place).map(|word| f32::from_le_bytes(*word));
        let mut rows = words(features).chunks_exact(self.width);
        let fit = rows.all(|row| {
            self.shape
                .embeddings
                .iter()
                .all(|of| number(row, of.place).is_some_and(|value| index(value, of.values).is_some()))
        });
        if fit { Ok(()) } else { Err(PartError::Index) }
    }

    /// Drops the features of a part whose targets did not fit in memory.
    fn cut_features(&mut self) {
        let length = usize::try_from(self.rows).unwrap_or(0).saturating_mul(self.width);
        match &mut self.features {
            Features::F32(all) => all.truncate(length),
            Features::U8(all) => all.truncate(length),
        }
    }
}

fn check(features: &Features, targets: &Targets, x: &[u8], t: &[u8]) -> Result<(), PartError> {
    let finite = |bytes: &[u8]| words(bytes).iter().all(|word| f32::from_le_bytes(*word).is_finite());
    if matches!(features, Features::F32(_)) && !finite(x) {
        return Err(PartError::NotFinite);
    }
    match targets {
        Targets::Classes { count, .. } => {
            let strange = words(t).iter().map(|word| u32::from_le_bytes(*word)).find(|class| class >= count);
            strange.map_or(Ok(()), |found| Err(PartError::Class { found, count: *count }))
        }
        Targets::Values { .. } if !finite(t) => Err(PartError::NotFinite),
        _ => Ok(()),
    }
}

fn words(bytes: &[u8]) -> &[[u8; 4]] {
    bytes.as_chunks::<4>().0
}

fn take<T>(all: &mut Vec<T>, bytes: &[u8], decode: impl Fn([u8; 4]) -> T) -> Result<(), PartError> {
    let words = words(bytes);
    all.try_reserve(words.len()).map_err(|_| PartError::Memory)?;
    all.extend(words.iter().map(|word| decode(*word)));
    Ok(())
}

fn put<T: Copy>(bytes: &mut Vec<u8>, values: &[T], encode: impl Fn(T) -> [u8; 4]) {
    let start = bytes.len();
    bytes.resize(start + 4 * values.len(), 0);
    let (words, _) = bytes.get_mut(start..).unwrap_or_default().as_chunks_mut::<4>();
    for (word, value) in words.iter_mut().zip(values) {
        *word = encode(*value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_core::ops::embedding::Embedding;
    use proptest::prelude::*;

    /// Bytes before the features.
    const HEADER: usize = 16;

    fn tables() -> impl Strategy<Value = Table> {
        (0usize..40, 1usize..5, any::<[bool; 4]>()).prop_map(
            |(rows, width, [bytes, classes, weighted, embedded])| {
                let number = |i: usize| (i * 7919 % 1009) as f32 / 8.0;
                let features = if bytes {
                    Features::U8((0..rows * width).map(|i| (i * 31) as u8).collect())
                } else {
                    Features::F32((0..rows * width).map(number).collect())
                };
                let targets = if classes {
                    Targets::Classes { count: 7, of: (0..rows as u32).map(|i| i % 7).collect() }
                } else {
                    Targets::Values { width: 2, of: (0..rows * 2).map(number).collect() }
                };
                let table = Table::new(vec![width], features, targets).unwrap();
                let whole = |i: usize| (i * 7919 % 1009) as f32;
                let table = match table.features() {
                    Features::F32(_) if embedded => {
                        let features = Features::F32((0..rows * width).map(whole).collect());
                        let of = Embedding { name: "a".into(), place: width - 1, values: 1009, width: 3 };
                        let table = Table::new(vec![width], features, table.targets().clone()).unwrap();
                        table.embedded(vec![of]).unwrap()
                    }
                    _ => table,
                };
                let weights = (0..rows).map(number).collect();
                if weighted { table.weighted(weights).unwrap() } else { table }
            },
        )
    }

    proptest! {
        #[test]
        fn parts_make_the_table(table in tables(), step in 1u64..50) {
            let mut receiver = Receiver::new(table.shape()).unwrap();
            while receiver.rows() < table.rows() {
                let first = receiver.rows();
                receiver.append(&table.part(first..table.rows().min(first + step)).unwrap()).unwrap();
            }
            prop_assert_eq!(receiver.finish().unwrap(), table);
        }

        /// Whatever bytes come: an error that changes nothing, or rows.
        #[test]
        fn foreign_bytes_never_panic(
            table in tables(),
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut receiver = Receiver::new(table.shape()).unwrap();
            let _ = receiver.append(&bytes);
            let mut part = table.part(0..table.rows()).unwrap();
            let (at, cut) = (at.index(part.len()), cut.index(part.len()));
            part[at] ^= bytes.first().copied().unwrap_or(1);
            let before = receiver.rows();
            if receiver.append(&part).is_err() {
                prop_assert_eq!(receiver.rows(), before);
            }
            let mut receiver = Receiver::new(table.shape()).unwrap();
            prop_assert!(receiver.append(&part[..cut]).is_err());
            prop_assert_eq!(receiver.rows(), 0);
        }
    }

    #[test]
    fn refusals() {
        let targets = Targets::Classes { count: 2, of: vec![1, 0] };
        let table = Table::new(vec![1], Features::F32(vec![1.0, 2.0]), targets).unwrap();
        let good = table.part(0..2).unwrap();
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut part = good.clone();
            change(&mut part);
            Receiver::new(table.shape()).unwrap().append(&part).unwrap_err().to_string()
        };
        assert_eq!(refused(&|part| part.truncate(15)), "15 bytes are shorter than a header");
        assert_eq!(refused(&|part| part[0] = 1), "expected rows from 0 on, found 1");
        assert_eq!(refused(&|part| part[8] = 3), "a part of 3 rows, 2 are missing");
        assert_eq!(refused(&|part| part[15] = 255), "a part of 18374686479671623682 rows, 2 are missing");
        assert_eq!(refused(&|part| part[8] = 1), "a part of 1 rows has 16 bytes, expected 8");
        assert_eq!(refused(&|part| part.push(0)), "a part of 2 rows has 17 bytes, expected 16");
        assert_eq!(refused(&|part| part[HEADER + 8] = 2), "class 2 of 2");
        assert_eq!(
            refused(&|part| part[HEADER..HEADER + 4].copy_from_slice(&f32::NAN.to_le_bytes())),
            "a value is not finite"
        );
        let mut weights = table.clone().weighted(vec![0.5, 3.0]).unwrap().part(0..2).unwrap();
        let weighted = Shape { weights: true, ..table.shape() };
        assert_eq!(
            Receiver::new(weighted.clone()).unwrap().append(&good).unwrap_err().to_string(),
            "a part of 2 rows has 16 bytes, expected 24"
        );
        weights[HEADER + 19] |= 128;
        assert_eq!(
            Receiver::new(weighted).unwrap().append(&weights).unwrap_err().to_string(),
            "a row's weight is -0.5"
        );
        let of = |place, values| vec![Embedding { name: "a".into(), place, values, width: 2 }];
        let embedded = |embeddings| Receiver::new(Shape { embeddings, ..table.shape() });
        assert_eq!(embedded(of(0, 3)).unwrap().append(&good), Ok(()));
        assert_eq!(
            embedded(of(0, 2)).unwrap().append(&good).unwrap_err().to_string(),
            "a value is no index of its embedding"
        );
        assert_eq!(embedded(of(1, 3)).unwrap_err(), PartError::Shape);
        let mut half = Receiver::new(table.shape()).unwrap();
        half.append(&table.part(0..1).unwrap()).unwrap();
        assert_eq!(half.finish().unwrap_err().to_string(), "1 rows have not come");
        assert!(table.part(1..3).is_err());
        for shape in [
            Shape { sample: vec![usize::MAX, 2], ..table.shape() },
            Shape { sample: vec![0], ..table.shape() },
            Shape { targets: TargetType::Classes(0), ..table.shape() },
        ] {
            assert_eq!(Receiver::new(shape).unwrap_err(), PartError::Shape);
        }
        // A shape that lies about its rows costs nothing.
        let vast = Shape { rows: u64::MAX, sample: vec![1 << 40], ..table.shape() };
        assert!(Receiver::new(vast).unwrap().append(&good).is_err());
    }
}
