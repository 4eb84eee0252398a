//! `[data]`

use std::collections::BTreeSet;

use super::field::{Field, Section};
use super::problem::Problem;
use super::spec::{Data, Source, Validation};
use super::typed::Value;

const SOURCE: &str = "a file such as \"train.csv\", or { images = \"…\", labels = \"…\" }";
const VALIDATION: &str = "a share of the training rows between 0 and 1, a file such as \"test.csv\", or { images = \"…\", labels = \"…\" }";

pub(super) fn read(root: &Section) -> Result<Data, Problem> {
    let section =
        root.section("data", &["train", "validation", "target", "features", "in_memory", "shuffle_rows"])?;
    let train = source(&section.need("train", SOURCE)?, SOURCE)?;
    let target = section.get("target").map(|field| column(&field)).transpose()?;
    let features = section.get("features").map(|field| columns(&field, target.as_deref())).transpose()?;
    match train {
        Source::File(_) if target.is_none() => {
            section.need("target", "the column to predict, such as \"label\"")?;
        }
        // An IDX pair says itself what is predicted from what.
        Source::Idx { .. } => {
            if let Some(field) = section.get("target").or_else(|| section.get("features")) {
                return Err(field.unexpected("nothing: images and labels have no columns"));
            }
        }
        Source::File(_) => {}
    }
    Ok(Data {
        train,
        validation: section.get("validation").map_or(Ok(Validation::None), |field| validation(&field))?,
        target,
        features,
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

fn columns(field: &Field, target: Option<&str>) -> Result<Vec<String>, Problem> {
    let items = field.list("a list of columns, such as [\"age\", \"height\"]")?;
    if items.is_empty() {
        return Err(field.unexpected("at least one column"));
    }
    let mut seen = BTreeSet::new();
    for item in &items {
        let name = column(item)?;
        if Some(name.as_str()) == target {
            return Err(item.unexpected("a column other than the target"));
        }
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
