//! `[data.columns]`: what columns are, where that is not to be inferred from their values.

use std::collections::BTreeMap;

use super::field::{Field, Section};
use super::problem::Problem;
use super::spec::{Column, Fill, Part, Scale};
use super::typed::Value;

pub(super) const SCALES: [(&str, Scale); 4] = [
    ("standardize", Scale::Standardize),
    ("min_max", Scale::MinMax),
    ("log", Scale::Log),
    ("none", Scale::None),
];

pub(super) const PARTS: [(&str, Part); 4] =
    [("elapsed", Part::Elapsed), ("year", Part::Year), ("week", Part::Week), ("day", Part::Day)];

const KINDS: [&str; 5] = ["numeric", "categorical", "boolean", "date_time", "ignore"];

pub(super) fn read(field: &Field, target: Option<&str>) -> Result<BTreeMap<String, Column>, Problem> {
    let Value::Table(keys) = &field.typed.value else {
        return Err(field.unexpected("a table of columns, such as { age = \"numeric\" }"));
    };
    let mut columns = BTreeMap::new();
    for (name, typed) in keys {
        let field = Field { key: format!("{}.{name}", field.key), typed: typed.clone() };
        if Some(name.as_str()) == target {
            return Err(field.unexpected("a column other than the target"));
        }
        columns.insert(name.clone(), column(&field)?);
    }
    Ok(columns)
}

fn column(field: &Field) -> Result<Column, Problem> {
    let (name, body) = field.tagged(&KINDS)?;
    let body = body.as_ref();
    Ok(match name.as_str() {
        "numeric" => numeric(field, body)?,
        "categorical" => {
            let section = Section::body(field, body, &["most"])?;
            Column::Categorical { most: section.whole("most", 100, 1, 100_000)? }
        }
        "boolean" => {
            Section::body(field, body, &[])?;
            Column::Boolean
        }
        "date_time" => {
            let section = Section::body(field, body, &["parts", "format"])?;
            let format = section
                .get("format")
                .map(|field| field.text("a format such as \"%d.%m.%Y %H:%M\"").map(ToOwned::to_owned));
            Column::DateTime {
                parts: section.get("parts").map(|field| parts(&field)).transpose()?,
                format: format.transpose()?,
            }
        }
        _ => {
            Section::body(field, body, &[])?;
            Column::Ignore
        }
    })
}

fn numeric(field: &Field, body: Option<&Field>) -> Result<Column, Problem> {
    if let Some(body) = body.filter(|body| !body.is_table()) {
        return Ok(Column::Numeric { scale: body.choice(&SCALES)?, missing: Fill::Mean, indicator: false });
    }
    let section = Section::body(field, body, &["scale", "missing", "indicator"])?;
    Ok(Column::Numeric {
        scale: section.get("scale").map_or(Ok(Scale::Standardize), |field| field.choice(&SCALES))?,
        missing: section.get("missing").map_or(Ok(Fill::Mean), |field| fill(&field))?,
        indicator: section.get("indicator").map_or(Ok(false), |field| field.bool())?,
    })
}

fn fill(field: &Field) -> Result<Fill, Problem> {
    match field.typed.value {
        Value::Text(_) => {
            field.choice(&[("mean", Fill::Mean), ("median", Fill::Median), ("stop", Fill::Stop)])
        }
        _ => Ok(Fill::Constant(field.real("mean, median, stop or a number", |_| true)?)),
    }
}

fn parts(field: &Field) -> Result<Vec<Part>, Problem> {
    let items = field.list("a list such as [\"year\", \"week\", \"day\"]")?;
    let parts = items.iter().map(|item| item.choice(&PARTS)).collect::<Result<Vec<_>, _>>()?;
    let twice = parts.iter().enumerate().any(|(i, part)| parts.iter().take(i).any(|before| before == part));
    if parts.is_empty() || twice {
        return Err(field.unexpected("at least one part, each once"));
    }
    Ok(parts)
}
