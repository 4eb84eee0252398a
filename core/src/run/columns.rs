//! `[data.columns]`: what columns are, where that is not to be inferred from their values.

use std::collections::BTreeMap;

use super::data::Taken;
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

pub(super) fn read(field: &Field, taken: Taken<'_>) -> Result<BTreeMap<String, Column>, Problem> {
    let Value::Table(keys) = &field.typed.value else {
        return Err(field.unexpected("a table of columns, such as { age = \"numeric\" }"));
    };
    let mut columns = BTreeMap::new();
    for (name, typed) in keys {
        let field = Field { key: format!("{}.{name}", field.key), typed: typed.clone() };
        taken.check(&field, name)?;
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
            let section = Section::body(field, body, &["most", "embedding"])?;
            let embedding = section.get("embedding").map(|field| field.whole(1, 4096)).transpose()?;
            let (most, limit) = if embedding.is_some() { (100_000, 10_000_000) } else { (100, 100_000) };
            Column::Categorical { most: section.whole("most", most, 1, limit)?, embedding }
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

#[cfg(test)]
mod tests {
    use super::super::spec::{Format, OnBadRow, Reading, Run};
    use super::super::{parse, to_toml};
    use super::*;

    const LEAST: &str = "data = { train = \"a.csv\", target = \"label\" }\n\
                         model = { loss = \"cross_entropy\", layers = [{ linear = 10 }] }\n";

    fn with(overrides: &[&str]) -> Result<Run, Problem> {
        parse(LEAST, &overrides.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn what_columns_may_be() {
        let run = with(&[
            "data.columns.a=numeric",
            "data.columns.b={ numeric = \"log\" }",
            "data.columns.c={ numeric = { missing = 0, indicator = true, scale = \"none\" } }",
            "data.columns.d={ categorical = { most = 7 } }",
            "data.columns.e=date_time",
            "data.columns.f={ date_time = { parts = [\"day\", \"week\"], format = \"%d.%m.%Y\" } }",
            "data.columns.g=boolean",
            "data.columns.h=ignore",
            "data.columns.i={ categorical = { embedding = 16 } }",
            "data.missing_values=[\"?\"]",
            "data.format=tsv",
            "data.header=false",
            "data.on_bad_row=skip",
        ])
        .unwrap();
        let numeric = |scale, missing, indicator| Column::Numeric { scale, missing, indicator };
        let expected = [
            ("a", numeric(Scale::Standardize, Fill::Mean, false)),
            ("b", numeric(Scale::Log, Fill::Mean, false)),
            ("c", numeric(Scale::None, Fill::Constant(0.0), true)),
            ("d", Column::Categorical { most: 7, embedding: None }),
            ("e", Column::DateTime { parts: None, format: None }),
            (
                "f",
                Column::DateTime {
                    parts: Some(vec![Part::Day, Part::Week]),
                    format: Some("%d.%m.%Y".into()),
                },
            ),
            ("g", Column::Boolean),
            ("h", Column::Ignore),
            ("i", Column::Categorical { most: 100_000, embedding: Some(16) }),
        ];
        assert!(run.data.columns.iter().map(|(name, is)| (name.as_str(), is.clone())).eq(expected));
        let reading = Reading { format: Some(Format::Tsv), header: false, missing_values: vec!["?".into()] };
        assert_eq!((&run.data.reading, run.data.on_bad_row), (&reading, OnBadRow::Skip));
        assert_eq!(parse(&to_toml(&run), &[]).unwrap(), run);
        let weighted = with(&["data.weight=w"]).unwrap();
        assert_eq!(weighted.data.weight.as_deref(), Some("w"));
        assert!(to_toml(&weighted).contains("\nweight = \"w\"\n"));
        let error = |text: &str| with(&[text]).unwrap_err().to_string();
        assert_eq!(
            error("data.columns.a=numerical"),
            "--set data.columns.a: found \"numerical\"; did you mean \"numeric\"?"
        );
        assert_eq!(
            error("data.columns.label=numeric"),
            "--set data.columns.label: found the text \"numeric\", expected a column other than the target"
        );
        assert_eq!(
            error("data.columns.a={ numeric = { scale = \"minmax\" } }"),
            "--set data.columns.a.numeric.scale: found \"minmax\"; did you mean \"min_max\"?"
        );
        assert_eq!(
            error("data.columns.a={ date_time = { parts = [\"day\", \"day\"] } }"),
            "--set data.columns.a.date_time.parts: found a list of 2, expected at least one part, each once"
        );
        assert_eq!(
            error("data.columns.a={ categorical = { embedding = 0 } }"),
            "--set data.columns.a.categorical.embedding: found 0, expected a whole number from 1 to 4096"
        );
        assert_eq!(
            error("data.columns=3"),
            "--set data.columns: found 3, expected a table of columns, such as { age = \"numeric\" }"
        );
        assert!(error("data.format=cvs").ends_with("found \"cvs\"; did you mean \"csv\"?"));
    }
}
