//! Predictions as they are written: CSV, or Parquet.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// Rows of a batch that is handed on, and of a row group: what waits in memory.
const BATCH: usize = 8192;
const GROUP: usize = 1 << 17;

/// What a model says of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Prediction<'a> {
    /// One of its classes.
    Label(&'a str),
    /// A number in the target's own unit.
    Number(f32),
}

/// Takes a row after the other: the prediction, then the probability of each class that has a column.
pub(super) enum Writer<W: Write + Send> {
    Csv(Box<csv::Writer<W>>),
    Parquet(Box<Columns<W>>),
}

impl<W: Write + Send> Writer<W> {
    /// With a column `prediction`, and one of probabilities for each of `classes`.
    pub(super) fn csv(out: W, classes: &[String]) -> io::Result<Self> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(names(classes))?;
        Ok(Self::Csv(Box::new(csv)))
    }

    /// The same in Parquet, where predictions are labels (strings) or numbers (32-bit floats).
    pub(super) fn parquet(out: W, labelled: bool, classes: &[String]) -> io::Result<Self> {
        let said =
            if labelled { Said::Labels(StringBuilder::new()) } else { Said::Numbers(Float32Builder::new()) };
        let shares = classes.iter().map(|_| Float32Builder::new()).collect();
        let mut columns = Batch { names: names(classes).collect(), said, shares, rows: 0 };
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(GROUP)).build();
        let schema = columns.take()?.schema();
        let writer = ArrowWriter::try_new(out, schema, Some(properties)).map_err(io_error)?;
        Ok(Self::Parquet(Box::new(Columns { batch: columns, writer })))
    }

    pub(super) fn row(&mut self, prediction: Prediction<'_>, shares: &[f32]) -> io::Result<()> {
        match self {
            Self::Csv(csv) => {
                let said = match prediction {
                    Prediction::Label(label) => label.to_owned(),
                    Prediction::Number(number) => digits(&number),
                };
                Ok(csv.write_record(std::iter::once(said).chain(shares.iter().map(digits)))?)
            }
            Self::Parquet(columns) => columns.row(prediction, shares),
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Csv(mut csv) => csv.flush(),
            Self::Parquet(mut columns) => {
                columns.hand_on()?;
                columns.writer.close().map(drop).map_err(io_error)
            }
        }
    }
}

fn names(classes: &[String]) -> impl Iterator<Item = String> {
    let classes = classes.iter().map(|label| format!("probability_{label}"));
    std::iter::once("prediction".to_owned()).chain(classes)
}

/// A Parquet file, and the rows that are not yet in it.
pub(super) struct Columns<W: Write + Send> {
    batch: Batch,
    writer: ArrowWriter<W>,
}

struct Batch {
    names: Vec<String>,
    said: Said,
    shares: Vec<Float32Builder>,
    rows: usize,
}

enum Said {
    Labels(StringBuilder),
    Numbers(Float32Builder),
}

impl<W: Write + Send> Columns<W> {
    fn row(&mut self, prediction: Prediction<'_>, shares: &[f32]) -> io::Result<()> {
        match (&mut self.batch.said, prediction) {
            (Said::Labels(labels), Prediction::Label(label)) => labels.append_value(label),
            (Said::Numbers(numbers), Prediction::Number(number)) => numbers.append_value(number),
            _ => return Err(io::Error::other("a label among numbers, or a number among labels")),
        }
        for (column, share) in self.batch.shares.iter_mut().zip(shares) {
            column.append_value(*share);
        }
        self.batch.rows += 1;
        if self.batch.rows == BATCH { self.hand_on() } else { Ok(()) }
    }

    fn hand_on(&mut self) -> io::Result<()> {
        self.writer.write(&self.batch.take()?).map_err(io_error)
    }
}

impl Batch {
    /// The rows until now; it is empty then.
    fn take(&mut self) -> io::Result<RecordBatch> {
        let said: ArrayRef = match &mut self.said {
            Said::Labels(labels) => Arc::new(labels.finish()),
            Said::Numbers(numbers) => Arc::new(numbers.finish()),
        };
        let shares = self.shares.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
        self.rows = 0;
        let columns = self.names.iter().zip(std::iter::once(said).chain(shares));
        let columns = columns.map(|(name, column)| (name, column, false));
        RecordBatch::try_from_iter_with_nullable(columns).map_err(io::Error::other)
    }
}

/// The system's own error, if that is what it was.
fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        error => io::Error::other(error),
    }
}

/// The shortest digits that read back as the same f32, with an exponent where that is shorter.
fn digits(number: &f32) -> String {
    format!("{number:?}")
}
