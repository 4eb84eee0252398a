//! `[data]`, as it is meant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where rows come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// The training rows.
    pub train: Source,
    /// The validation rows.
    pub validation: Validation,
    /// The column to predict; always there for a table, never for an IDX pair. Of those and of images it is
    /// `label` by default.
    pub target: Option<String>,
    /// What of a numeric target is learnt, the number itself by default.
    pub target_scale: TargetScale,
    /// The column of the rows' weights; `None`: 1 each.
    pub weight: Option<String>,
    /// The feature columns; `None` means every column but the target, the weight and those that are ignored.
    pub features: Option<Vec<String>>,
    /// What columns are; the kinds of others are inferred from the training rows.
    pub columns: BTreeMap<String, Column>,
    /// How files are read.
    pub reading: Reading,
    /// What becomes of rows that cannot be used.
    pub on_bad_row: OnBadRow,
    /// Up to this many bytes, decoded as f32, an epoch is one full shuffle. 256 MiB by default.
    pub in_memory: u64,
    /// Rows in one shuffle window of a span, 16,384 by default.
    pub shuffle_rows: u64,
}

/// What of a numeric target is learnt. Predictions and errors are in the column's own unit all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetScale {
    /// The number as it is.
    None,
    /// (t - mean) / deviation, both over the training rows.
    Standardize,
}

/// How files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The format of all files; `None`: of each by its extension.
    pub format: Option<Format>,
    /// Whether the first row of CSV and TSV names the columns; if not, they are `column_1`, `column_2`, …
    pub header: bool,
    /// What stands for a missing value, beside those that a format has itself. `""` by default.
    pub missing_values: Vec<String>,
}

impl Default for Reading {
    fn default() -> Self {
        Self { format: None, header: true, missing_values: vec![String::new()] }
    }
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Commas between fields.
    Csv,
    /// Tabs between fields.
    Tsv,
    /// A JSON object a line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC: file, stream or Feather.
    Arrow,
    /// One NumPy array.
    Npy,
    /// Several NumPy arrays.
    Npz,
    /// Unsigned bytes, as MNIST has them.
    Idx,
    /// Pictures, PNG or JPEG, a file a row; the folder of each is its class.
    Images,
}

/// What becomes of rows that cannot be used: torn, or with a value that is not what its column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBadRow {
    /// The run does not begin.
    Stop,
    /// They are left out, and counted.
    Skip,
}

/// What a feature column is, and how a model sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// No feature.
    Ignore,
    /// Numbers: one value, or two with the indicator.
    Numeric {
        /// Standardized by default.
        scale: Scale,
        /// What stands in for a missing value, the mean by default.
        missing: Fill,
        /// Whether a second value tells if the first was missing.
        indicator: bool,
    },
    /// One of some values: a place or a vector for each, and one for all others.
    Categorical {
        /// At most so many values have a place of their own, the most frequent ones. 100 by default, and
        /// 100,000 with an embedding.
        most: u64,
        /// A learnt vector of so many numbers stands for each value, instead of a place.
        embedding: Option<u64>,
    },
    /// True or false: 1 or 0.
    Boolean,
    /// A date or a point in time.
    DateTime {
        /// What of it; `None`: elapsed, year, week, and day if any training row has a time of day.
        parts: Option<Vec<Part>>,
        /// As `strftime`; `None`: ISO 8601.
        format: Option<String>,
    },
}

/// How a number is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// (x - mean) / deviation, clipped at ±10.
    Standardize,
    /// (x - least) / (greatest - least), clipped at ±10.
    MinMax,
    /// sign(x)·ln(1 + |x|), then standardized.
    Log,
    /// As it is.
    None,
}

/// What stands in for a missing number; it is scaled as the others are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fill {
    /// A missing value makes a bad row.
    Stop,
    /// The mean of the training rows.
    Mean,
    /// Their median.
    Median,
    /// This number.
    Constant(f64),
}

/// What of a date or time a model sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Days, standardized: one value.
    Elapsed,
    /// The place in the year, as sine and cosine.
    Year,
    /// The day of the week, as sine and cosine.
    Week,
    /// The time of day, as sine and cosine.
    Day,
}

/// One dataset. Paths are as typed, relative to the run file.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A file, a folder of files or a pattern: `digits-train.csv`, `part-*.parquet`.
    File(String),
    /// A pair of IDX files, plain or gzipped.
    Idx {
        /// u8 images, \[rows, …\].
        images: String,
        /// u8 labels, \[rows\].
        labels: String,
    },
}

/// Where validation rows come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Validation {
    /// There are none.
    None,
    /// A share of the training rows, 0 < share < 1, held out by hash(seed, row).
    Fraction(f64),
    /// A dataset of their own.
    Source(Source),
}
