//! A table that arrives in parts, each read straight into the table's memory.

use std::io::Read;

use bytemuck::Pod;

use crate::part::{HEADER, PartError};
use crate::table::{are_indices, is_weight};
use crate::{FeatureType, Features, Shape, Table, TargetType, Targets};

/// Bytes that are read and checked at once: they stay in the core's cache meanwhile.
const PIECE: usize = 1 << 17;

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
        self.read(&mut &*part, part.len() as u64)
    }

    /// Takes the next part, of `length` bytes.
    ///
    /// # Errors
    /// As [`Receiver::append`], or it cannot be read to its end.
    pub fn read(&mut self, part: &mut impl Read, length: u64) -> Result<(), PartError> {
        let Some(body) = length.checked_sub(HEADER) else { return Err(PartError::Header(length)) };
        let (first, rows) = (number(part)?, number(part)?);
        if first != self.rows {
            return Err(PartError::Order { expected: self.rows, found: first });
        }
        let missing = self.shape.rows - self.rows;
        if rows == 0 || rows > missing {
            return Err(PartError::Rows { found: rows, missing });
        }
        let [features, targets, weights] = self.counts(rows, body)?;
        let read = self.fill(part, features, targets, weights);
        match read {
            Ok(()) => self.rows += rows,
            Err(_) => self.cut(),
        }
        read
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

    /// How many features, target values and weights so many rows have, if their bytes are `body`.
    fn counts(&self, rows: u64, body: u64) -> Result<[usize; 3], PartError> {
        let targets = match self.targets {
            Targets::Classes { .. } => 1,
            Targets::Values { width, .. } => width,
            Targets::Absent => 0,
        };
        let feature_bytes = match self.features {
            Features::F32(_) => 4,
            Features::U8(_) => 1,
        };
        let weights = usize::from(self.shape.weights);
        let count = |a_row: usize| usize::try_from(rows).ok()?.checked_mul(a_row);
        let bytes = |values: usize, each: u64| (values as u64).checked_mul(each);
        let all = || {
            let counts = [count(self.width)?, count(targets)?, count(weights)?];
            let [features, targets, weights] = counts;
            let words = bytes(targets, 4)?.checked_add(bytes(weights, 4)?)?;
            Some((counts, bytes(features, feature_bytes)?.checked_add(words)?))
        };
        let (counts, expected) = all().ok_or(PartError::Shape)?;
        if body != expected {
            return Err(PartError::Length { rows, found: body, expected });
        }
        Ok(counts)
    }

    fn fill(
        &mut self,
        part: &mut impl Read,
        features: usize,
        targets: usize,
        weights: usize,
    ) -> Result<(), PartError> {
        match &mut self.features {
            Features::F32(all) => {
                let came = read(all, features, part, float, finite)?;
                let of = &self.shape.embeddings;
                if !of.is_empty() && !came.chunks_exact(self.width).all(|row| are_indices(of, row)) {
                    return Err(PartError::Index);
                }
            }
            Features::U8(all) => {
                read(all, features, part, |byte| byte, |_| Ok(()))?;
            }
        }
        match &mut self.targets {
            Targets::Classes { count, of } => {
                let count = *count;
                let below = |classes: &[u32]| match classes.iter().find(|class| **class >= count) {
                    Some(found) => Err(PartError::Class { found: *found, count }),
                    None => Ok(()),
                };
                read(of, targets, part, u32::from_le, below)?;
            }
            Targets::Values { of, .. } => {
                read(of, targets, part, float, finite)?;
            }
            Targets::Absent => {}
        }
        let good = |weights: &[f32]| match weights.iter().find(|weight| !is_weight(**weight)) {
            Some(bad) => Err(PartError::Weight(*bad)),
            None => Ok(()),
        };
        read(&mut self.weights, weights, part, float, good)?;
        Ok(())
    }

    /// Drops what came of a part that was refused.
    fn cut(&mut self) {
        let rows = usize::try_from(self.rows).unwrap_or(0);
        match &mut self.features {
            Features::F32(all) => all.truncate(rows.saturating_mul(self.width)),
            Features::U8(all) => all.truncate(rows.saturating_mul(self.width)),
        }
        match &mut self.targets {
            Targets::Classes { of, .. } => of.truncate(rows),
            Targets::Values { width, of } => of.truncate(rows.saturating_mul(*width)),
            Targets::Absent => {}
        }
        self.weights.truncate(rows);
    }
}

fn number(from: &mut impl Read) -> Result<u64, PartError> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes).map_err(|error| PartError::Read(error.kind()))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Reads `count` values behind those that are there, and returns them.
fn read<'a, T: Pod>(
    all: &'a mut Vec<T>,
    count: usize,
    from: &mut impl Read,
    decode: impl Fn(T) -> T,
    check: impl Fn(&[T]) -> Result<(), PartError>,
) -> Result<&'a [T], PartError> {
    let start = all.len();
    all.try_reserve(count).map_err(|_| PartError::Memory)?;
    all.resize(start + count, T::zeroed());
    let came = all.get_mut(start..).unwrap_or_default();
    for piece in came.chunks_mut(PIECE / size_of::<T>()) {
        let bytes = bytemuck::cast_slice_mut(piece);
        from.read_exact(bytes).map_err(|error| PartError::Read(error.kind()))?;
        piece.iter_mut().for_each(|value| *value = decode(*value));
        check(piece)?;
    }
    Ok(came)
}

/// Read as little-endian.
fn float(read: f32) -> f32 {
    f32::from_bits(u32::from_le(read.to_bits()))
}

fn finite(values: &[f32]) -> Result<(), PartError> {
    // All, without leaving early: so it is done in vectors.
    let all = values.iter().fold(true, |all, value| all & value.is_finite());
    if all { Ok(()) } else { Err(PartError::NotFinite) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_core::ops::embedding::Embedding;
    use proptest::prelude::*;

    const HEADER: usize = super::HEADER as usize;

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

    /// More than is read at once, and what is wrong lies in the last of it.
    #[test]
    fn every_piece_is_checked() {
        let rows = PIECE / 4 + 1000;
        let number = |i: usize| (i * 7919 % 1009) as f32;
        let targets = Targets::Classes { count: 7, of: (0..rows as u32).map(|i| i % 7).collect() };
        let table = Table::new(vec![1], Features::F32((0..rows).map(number).collect()), targets).unwrap();
        let part = table.part(0..rows as u64).unwrap();
        let mut receiver = Receiver::new(table.shape()).unwrap();
        let last = super::HEADER as usize + 4 * rows;
        for (end, wrong) in
            [(last, PartError::NotFinite), (last + 4 * rows, PartError::Class { found: u32::MAX, count: 7 })]
        {
            let mut part = part.clone();
            part[end - 4..end].fill(0xff);
            assert_eq!(receiver.append(&part), Err(wrong));
        }
        let cut = receiver.read(&mut &part[..part.len() - 1], part.len() as u64);
        assert_eq!(cut, Err(PartError::Read(std::io::ErrorKind::UnexpectedEof)));
        receiver.append(&part).unwrap();
        assert_eq!(receiver.finish().unwrap(), table);
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
