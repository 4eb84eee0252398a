//! `[data]`

use std::collections::BTreeSet;

use super::columns;
use super::field::{Field, Section};
use super::problem::Problem;
use super::spec::{Data, Format, Loss, OnBadRow, Reading, Source, TargetScale, Validation};
use super::typed::Value;

pub(super) const FORMATS: [(&str, Format); 9] = [
    ("csv", Format::Csv),
    ("tsv", Format::Tsv),
    ("jsonl", Format::JsonLines),
    ("parquet", Format::Parquet),
    ("arrow", Format::Arrow),
    ("npy", Format::Npy),
    ("npz", Format::Npz),
    ("idx", Format::Idx),
    ("images", Format::Images),
];

pub(super) const ON_BAD_ROW: [(&str, OnBadRow); 2] = [("stop", OnBadRow::Stop), ("skip", OnBadRow::Skip)];

pub(super) const TARGET_SCALES: [(&str, TargetScale); 2] =
    [("none", TargetScale::None), ("standardize", TargetScale::Standardize)];

const KEYS: [&str; 13] = [
    "train",
    "validation",
    "target",
    "target_scale",
    "weight",
    "features",
    "columns",
    "format",
    "header",
    "missing_values",
    "on_bad_row",
    "in_memory",
    "shuffle_rows",
];

const SOURCE: &str = "a file such as \"train.csv\", or { images = \"…\", labels = \"…\" }";
const VALIDATION: &str = "a share of the training rows between 0 and 1, a file such as \"test.csv\", or { images = \"…\", labels = \"…\" }";

pub(super) fn read(root: &Section, loss: Loss) -> Result<Data, Problem> {
    let section = root.section("data", &KEYS)?;
    let train = source(&section.need("train", SOURCE)?, SOURCE)?;
    let target = section.get("target").map(|field| column(&field)).transpose()?;
    let weight = section.get("weight").map(|field| weight(&field, target.as_deref())).transpose()?;
    let taken = Taken { target: target.as_deref(), weight: weight.as_deref() };
    let features = section.get("features").map(|field| features(&field, taken)).transpose()?;
    let format = section.get("format").map(|field| field.choice(&FORMATS)).transpose()?;
    match train {
        Source::File(_) if target.is_none() && format != Some(Format::Images) => {
            section.need("target", "the column to predict, such as \"label\"")?;
        }
        // An IDX pair says itself what is predicted from what.
        Source::Idx { .. } => {
            let columns = ["target", "weight", "features", "columns"];
            if let Some(field) = columns.iter().find_map(|key| section.get(key)) {
                return Err(field.unexpected("nothing: images and labels have no columns"));
            }
        }
        Source::File(_) => {}
    }
    let reading = Reading {
        format,
        header: section.get("header").map_or(Ok(true), |field| field.bool())?,
        missing_values: section
            .get("missing_values")
            .map_or(Ok(vec![String::new()]), |field| texts(&field))?,
    };
    Ok(Data {
        train,
        validation: section.get("validation").map_or(Ok(Validation::None), |field| validation(&field))?,
        columns: (section.get("columns"))
            .map_or(Ok(Default::default()), |field| columns::read(&field, taken))?,
        target: target.clone(),
        target_scale: section
            .get("target_scale")
            .map_or(Ok(TargetScale::None), |field| target_scale(&field, loss))?,
        weight: weight.clone(),
        features,
        reading,
        on_bad_row: section
            .get("on_bad_row")
            .map_or(Ok(OnBadRow::Stop), |field| field.choice(&ON_BAD_ROW))?,
        in_memory: section.get("in_memory").map_or(Ok(256 << 20), |field| bytes(&field))?,
        shuffle_rows: section.whole("shuffle_rows", 16_384, 1, u64::MAX)?,
    })
}

fn source(field: &Field, expected: &str) -> Result<Source, Problem> {
    match &field.typed.value {
        Value::Text(_) => Ok(Source::File(path(field, expected)?)),
        Value::Table(_) => {
            let pair = Section::new(field, &["images", "labels"])?;
            let file = |key| path(&pair.need(key, "an IDX file")?, "an IDX file");
            Ok(Source::Idx { images: file("images")?, labels: file("labels")? })
        }
        _ => Err(field.unexpected(expected)),
    }
}

fn path(field: &Field, expected: &str) -> Result<String, Problem> {
    match field.text(expected)? {
        "" => Err(field.unexpected(expected)),
        text => Ok(text.into()),
    }
}

fn validation(field: &Field) -> Result<Validation, Problem> {
    match field.typed.value {
        Value::Real(_) | Value::Whole(_) => {
            Ok(Validation::Fraction(field.real(VALIDATION, |share| share > 0.0 && share < 1.0)?))
        }
        _ => Ok(Validation::Source(source(field, VALIDATION)?)),
    }
}

fn column(field: &Field) -> Result<String, Problem> {
    path(field, "a column's name")
}

fn texts(field: &Field) -> Result<Vec<String>, Problem> {
    const EXPECTED: &str = "a list of texts, such as [\"\", \"NA\"]";
    field.list(EXPECTED)?.iter().map(|item| item.text(EXPECTED).map(Into::into)).collect()
}

fn target_scale(field: &Field, loss: Loss) -> Result<TargetScale, Problem> {
    match field.choice(&TARGET_SCALES)? {
        TargetScale::Standardize if loss.takes_classes() => {
            Err(field.unexpected(format!("\"none\": {} learns a class, which has no scale", loss.name())))
        }
        scale => Ok(scale),
    }
}

fn weight(field: &Field, target: Option<&str>) -> Result<String, Problem> {
    let name = column(field)?;
    Taken { target, weight: None }.check(field, &name)?;
    Ok(name)
}

/// Columns that are no features.
#[derive(Clone, Copy)]
pub(super) struct Taken<'a> {
    target: Option<&'a str>,
    weight: Option<&'a str>,
}

impl Taken<'_> {
    /// A feature is neither.
    pub(super) fn check(self, field: &Field, name: &str) -> Result<(), Problem> {
        match Some(name) {
            name if name == self.target => Err(field.unexpected("a column other than the target")),
            name if name == self.weight => Err(field.unexpected("a column other than the weight")),
            _ => Ok(()),
        }
    }
}

fn features(field: &Field, taken: Taken<'_>) -> Result<Vec<String>, Problem> {
    let items = field.list("a list of columns, such as [\"age\", \"height\"]")?;
    if items.is_empty() {
        return Err(field.unexpected("at least one column"));
    }
    let mut seen = BTreeSet::new();
    for item in &items {
        let name = column(item)?;
        taken.check(item, &name)?;
        if !seen.insert(name) {
            return Err(item.unexpected("each column once"));
        }
    }
    items.iter().map(column).collect()
}

fn bytes(field: &Field) -> Result<u64, Problem> {
    const EXPECTED: &str = "a number of bytes, or a size such as \"256MiB\"";
    const UNITS: [(&str, u64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let Value::Text(text) = &field.typed.value else {
        return field.whole(0, u64::MAX).map_err(|_| field.unexpected(EXPECTED));
    };
    let sized = UNITS.iter().find_map(|(unit, scale)| {
        let number = text.trim().strip_suffix(unit)?.trim_end();
        // Rust's parser would take a sign.
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| number.parse::<u64>().ok()?.checked_mul(*scale))?
    });
    sized.ok_or_else(|| field.unexpected(EXPECTED))
}
