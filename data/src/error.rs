//! What is wrong with data: the file, the line or row, the column, what was found, what was expected.

use std::fmt;

/// Where in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    Whole,
    /// A line of text, from 1; the header is line 1.
    Line(u64),
    /// A row of a file without lines, from 0.
    Row(u64),
}

/// One thing that is wrong with a dataset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DataError {
    /// The file, as it was looked for.
    pub file: String,
    /// Where in it.
    pub place: Place,
    /// The column, if it is about one.
    pub column: Option<String>,
    /// What is wrong there.
    pub what: Wrong,
}

impl DataError {
    pub(crate) fn whole(file: impl Into<String>, what: Wrong) -> Self {
        Self { file: file.into(), place: Place::Whole, column: None, what }
    }

    pub(crate) fn column(file: impl Into<String>, column: impl Into<String>, what: Wrong) -> Self {
        Self { file: file.into(), place: Place::Whole, column: Some(column.into()), what }
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match self.place {
            Place::Whole => {}
            Place::Line(line) => write!(f, ", line {line}")?,
            Place::Row(row) => write!(f, ", row {row}")?,
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column:?}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// There is no such file.
    #[error("no such file{}", did_you_mean(.nearest))]
    NoFile {
        /// The file beside it whose name is most like it.
        nearest: Option<String>,
    },
    /// The system cannot read it.
    #[error("cannot be read: {0}")]
    Io(String),
    /// A gzip or zstd stream is cut off or damaged.
    #[error("the {by} stream is cut off or damaged: {why}")]
    Packed {
        /// The name of the packing.
        by: &'static str,
        /// As its reader says.
        why: String,
    },
    /// Neither a known extension nor a known header.
    #[error(
        "unknown format; expected .csv, .tsv, .jsonl (plain, .gz or .zst), .parquet, .arrow, .feather, .npy, \
         .npz, an IDX file, .png or .jpg, or data.format in the run file"
    )]
    UnknownFormat,
    /// A pattern or folder without files.
    #[error("no files there{0}")]
    NoMatch(&'static str),
    /// A pattern that cannot be read.
    #[error("this is no pattern of files: {0}")]
    Pattern(String),
    /// A file of this format cannot be read.
    #[error("this is not {format}, or it is damaged: {why}")]
    Damaged {
        /// The format's name.
        format: &'static str,
        /// As its reader says.
        why: String,
    },
    /// One picture of several is made otherwise.
    #[error("the picture has {found}, but {first}; expected one size and one kind of colour for all")]
    Picture {
        /// Its size and colours.
        found: String,
        /// What the first picture has.
        first: String,
    },
    /// Pictures beside other files.
    #[error("pictures and other files cannot be one dataset; name the pictures alone, or their folder")]
    Mixed,
    /// A part of this program that was left out when it was built.
    #[error("this program was built without the feature {0:?}, which reads such files")]
    NotBuilt(&'static str),
    /// One file of several is made otherwise.
    #[error("there is no such column, but {first} has it")]
    Unequal {
        /// The first file.
        first: String,
    },
    /// Nothing in it.
    #[error("the file is empty; expected a header and rows")]
    Empty,
    /// A header and nothing more.
    #[error("there is a header but no rows")]
    NoRows,
    /// A row of text without an end.
    #[error("the row that begins here has more than {0} bytes; is a quote never closed?")]
    LongRow(u64),
    /// More rows than can be counted or listed.
    #[error("it announces more rows than a file can have")]
    TooManyRows,
    /// Rows that no block has.
    #[error("there is no block of {rows} rows at row {first}")]
    NoBlock {
        /// Its first row.
        first: u64,
        /// Its rows.
        rows: u64,
    },
    /// The file is another one than was opened before.
    #[error("the file has changed since it was first opened: {what} was {before}, and is {now}; restore it")]
    Changed {
        /// What differs.
        what: &'static str,
        /// As it was.
        before: u64,
        /// As it is.
        now: u64,
    },
    /// An object has other bytes than before.
    #[error("it was replaced since it was first opened; restore it")]
    Replaced,
    /// No URL that can be read.
    #[error("this URL cannot be read: {0}")]
    Url(String),
    /// An object or its store cannot be read.
    #[error("cannot be read: {0}")]
    Object(String),
    /// A description of files that nobody could have made.
    #[error("what was said of this file cannot be true: {0}")]
    BadEntry(&'static str),
    /// A file that lies elsewhere only.
    #[error("this machine does not have the file")]
    NotHere,
    /// Nothing can be kept on disk.
    #[error(
        "cannot be inflated into the folder {folder}: {why}; let LOCKSTEP_CACHE name a folder with room for it"
    )]
    Cache {
        /// The folder.
        folder: String,
        /// As the system says.
        why: String,
    },
    /// A line that is no JSON object.
    #[error("this is not a JSON object: {0}")]
    Json(String),
    /// A column of a type that no model takes.
    #[error("found values of type {found}, expected numbers, text, true and false, or dates")]
    NoValues {
        /// The type's name.
        found: String,
    },
    /// Bytes that are no text.
    #[error("found bytes that are not UTF-8; expected text")]
    NotUtf8,
    /// A row of another length than the header.
    #[error("found {found} fields, expected {expected} as in the header")]
    Ragged {
        /// Fields of the row.
        found: u64,
        /// Fields of the header.
        expected: u64,
    },
    /// A column's name is empty.
    #[error("column {0} has no name; expected a header with a name for every column")]
    Unnamed(usize),
    /// Two columns have one name.
    #[error("the header names this column twice")]
    Duplicate,
    /// A column is not there.
    #[error("there is no such column{}", column_hint(.nearest, .known))]
    NoColumn {
        /// The column most like it.
        nearest: Option<String>,
        /// The file's columns.
        known: Vec<String>,
    },
    /// No column is left to learn from.
    #[error("no feature columns; expected at least one beside the target")]
    NoFeatures,
    /// A column of another kind than the model was trained on.
    #[error("found {found}, expected {expected}")]
    Unlike {
        /// What the file has.
        found: String,
        /// What the model takes.
        expected: String,
    },
    /// A cell that is no finite number.
    #[error("found {}, expected a number{}", cell(.0), other_kinds(.0))]
    NotNumber(String),
    /// A cell that is no date.
    #[error(
        "found {}, expected a date or time such as 2024-02-29 or 2024-02-29 18:30; another form: \
         date_time = {{ format = \"…\" }}",
        cell(.0)
    )]
    NotTime(String),
    /// A cell that is neither true nor false.
    #[error("found {}, expected true or false (or yes, no, 1, 0)", cell(.0))]
    NotTruth(String),
    /// No format of dates.
    #[error("found the format {0:?}, expected one of strftime's, such as \"%d.%m.%Y %H:%M\"")]
    TimeFormat(String),
    /// A column is declared that no model sees.
    #[error("data.columns names it, but it is not among data.features")]
    NotFeature,
    /// Pictures beside other columns.
    #[error("holds pictures, which must be the only feature; name it alone in data.features")]
    NotAlone,
    /// Nothing is left.
    #[error("no row can be used; {skipped} bad ones were left out")]
    NoGoodRows {
        /// Bad rows.
        skipped: u64,
    },
    /// A column whose mean or deviation is beyond f64.
    #[error("its values are too large to standardise")]
    TooLarge,
    /// A label that the training rows do not have.
    #[error("found {}, expected one of the classes of the training rows: {}", cell(.found), few(.known))]
    NotClass {
        /// The label.
        found: String,
        /// The classes.
        known: Vec<String>,
    },
    /// A label that is not there.
    #[error("found an empty cell, expected a class")]
    NoLabel,
    /// A row's weight that is none.
    #[error("found {}, expected a weight: a number from 0 to 1e18", cell(.0))]
    NotWeight(String),
    /// Rows of which none counts.
    #[error("every row weighs 0, so that there is nothing to learn from or to measure")]
    NoWeight,
    /// A weight of a class that there is not.
    #[error("train.class_weights names {found:?}{hint}")]
    NoSuchClass {
        /// The label.
        found: String,
        /// The class most like it, or all classes.
        hint: String,
    },
    /// Only one class to tell apart.
    #[error("every training row has the class {0:?}, expected two classes or more")]
    OneClass(String),
    /// A loss for two classes has another number of them.
    #[error("found {} classes ({}), expected exactly 2 for the loss {loss}", .found.len(), few(.found))]
    NotTwoClasses {
        /// The classes.
        found: Vec<String>,
        /// The loss.
        loss: &'static str,
    },
    /// An IDX file is shorter than its header says, or than a header.
    #[error("the file is cut off: found {found} bytes, expected {expected}")]
    Truncated {
        /// Bytes there.
        found: u64,
        /// Bytes that the header announces, itself included.
        expected: u64,
    },
    /// An IDX file is longer than its header says.
    #[error("the header announces {expected} bytes, but more follow")]
    Trailing {
        /// Bytes that the header announces, itself included.
        expected: u64,
    },
    /// A header's sizes cannot be true.
    #[error("the header announces {sizes}, more than the file can hold")]
    Lying {
        /// As announced, such as `60000 x 28 x 28`.
        sizes: String,
    },
    /// The first bytes of an IDX file.
    #[error("found the bytes {found}, expected the header of an IDX file of unsigned bytes (00 00 08 …)")]
    NotIdx {
        /// The first four bytes.
        found: String,
    },
    /// An IDX file of the wrong number of dimensions.
    #[error("found {found} dimensions, expected {expected}")]
    Rank {
        /// Dimensions of the file.
        found: usize,
        /// What the run needs.
        expected: &'static str,
    },
    /// As many labels as images are expected.
    #[error("found {labels} labels, but {file} has {images} images")]
    CountsDiffer {
        /// Rows of this file.
        labels: u64,
        /// The other file.
        file: String,
        /// Its rows.
        images: u64,
    },
    /// The validation share leaves no row on one side.
    #[error(
        "validation = {share} holds out {held} of {rows} rows; expected some and not all: change the share, \
         or name a file"
    )]
    Share {
        /// As in the run file.
        share: String,
        /// Rows held out.
        held: u64,
        /// Rows of the file.
        rows: u64,
    },
    /// More numbers than this machine can address or hold.
    #[error("{rows} rows of {width} values do not fit in memory")]
    TooBig {
        /// Rows.
        rows: u64,
        /// Values in a row.
        width: usize,
    },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

fn column_hint(nearest: &Option<String>, known: &[String]) -> String {
    match nearest {
        Some(_) => did_you_mean(nearest),
        None => format!("; the file has {}", few(known)),
    }
}

pub(crate) fn class_hint(nearest: &Option<String>, known: &[String]) -> String {
    match nearest {
        Some(_) => did_you_mean(nearest),
        None => format!(", which no training row has; the classes are {}", few(known)),
    }
}

fn cell(text: &str) -> String {
    const LONGEST: usize = 40;
    match text {
        "" => "an empty cell".into(),
        _ if text.chars().count() > LONGEST => {
            format!("{:?}", text.chars().take(LONGEST).chain(['…']).collect::<String>())
        }
        _ => format!("{text:?}"),
    }
}

/// What else such a cell may mean.
fn other_kinds(text: &str) -> &'static str {
    let number = text.parse::<f64>();
    match number {
        _ if text.is_empty() => "",
        Ok(number) if number.is_finite() => "",
        Ok(_) => "; if it stands for a missing value, name it in data.missing_values",
        Err(_) => {
            "; if the column holds categories, say so in data.columns; if it stands for a missing value, \
             name it in data.missing_values"
        }
    }
}

fn few(names: &[String]) -> String {
    const MOST: usize = 12;
    let shown = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(MOST) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}
