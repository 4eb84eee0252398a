//! Rows without meaning: only their number and type are timed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// `images.idx` and `labels.idx`: square images, labels in turn.
pub(super) fn write_images(folder: &Path, rows: usize, side: usize, classes: usize) -> io::Result<()> {
    let mut random = Noise::new();
    let mut images = BufWriter::new(File::create(folder.join("images.idx"))?);
    images.write_all(&[0, 0, 8, 3])?;
    for length in [rows, side, side] {
        images.write_all(&(length as u32).to_be_bytes())?;
    }
    for _ in 0..rows * side * side {
        images.write_all(&[(random.next() >> 56) as u8])?;
    }
    images.flush()?;
    let mut labels = BufWriter::new(File::create(folder.join("labels.idx"))?);
    labels.write_all(&[0, 0, 8, 1])?;
    labels.write_all(&(rows as u32).to_be_bytes())?;
    for row in 0..rows {
        labels.write_all(&[(row % classes) as u8])?;
    }
    labels.flush()
}

/// `rows.csv`: whole numbers, labels in turn in the last column.
pub(super) fn write_table(folder: &Path, rows: usize, inputs: usize, classes: usize) -> io::Result<()> {
    let mut random = Noise::new();
    let mut table = BufWriter::new(File::create(folder.join("rows.csv"))?);
    for column in 0..inputs {
        write!(table, "x{column},")?;
    }
    writeln!(table, "label")?;
    for row in 0..rows {
        for _ in 0..inputs {
            write!(table, "{},", (random.next() >> 48) as i64 - (1 << 15))?;
        }
        writeln!(table, "{}", row % classes)?;
    }
    table.flush()
}

/// An LCG.
pub(super) struct Noise(u64);

impl Noise {
    pub(super) const fn new() -> Self {
        Self(1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0
    }
}
