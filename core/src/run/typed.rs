//! A run file as it was typed: values, each with its place.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem, Wrong};

/// A value and where it was typed.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What was typed.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// i128 holds every u64 seed and every i64.
    Whole(i128),
    Real(f64),
    Bool(bool),
    List(Vec<Typed>),
    Table(BTreeMap<String, Typed>),
    /// A date, or a number that fits nothing.
    Other(String),
}

impl Value {
    /// As an error quotes it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("the text {text:?}"),
            Self::Whole(number) => number.to_string(),
            Self::Real(number) => format!("{number:?}"),
            Self::Bool(value) => value.to_string(),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Table(keys) if keys.is_empty() => "an empty table".into(),
            Self::Table(keys) => {
                format!("a table of {}", keys.keys().cloned().collect::<Vec<_>>().join(", "))
            }
            Self::Other(text) => text.clone(),
        }
    }
}

/// Reads TOML.
///
/// # Errors
/// The text is not TOML.
pub(super) fn read(text: &str) -> Result<Typed, Problem> {
    let table = DeTable::parse(text).map_err(|error| Problem {
        place: error.span().map(|span| Place::Line(line_of(text, span.start))),
        key: String::new(),
        what: Wrong::Syntax(error.message().trim().replace('\n', "; ")),
    })?;
    let at = |offset| Place::Line(line_of(text, offset));
    Ok(Typed { place: Place::Line(1), value: table_of(table.into_inner(), &at) })
}

/// Sets one value, `train.epochs=5`; a value that is not TOML is taken as text. Tables that are not
/// there are made; a number in the key counts into a list, from 0.
///
/// # Errors
/// No `=`, no key, or a key through something that holds no keys.
pub(super) fn set(root: &mut Typed, text: &str) -> Result<(), Problem> {
    let malformed = || Problem { place: None, key: String::new(), what: Wrong::Override(text.into()) };
    let (key, value) = text.split_once('=').ok_or_else(malformed)?;
    let key = key.trim();
    if key.split('.').any(str::is_empty) {
        return Err(malformed());
    }
    let mut here = root;
    let mut passed = String::new();
    for part in key.split('.') {
        let unreachable = |why: String| Problem {
            place: Some(Place::Override),
            key: key.into(),
            what: Wrong::Unreachable(why),
        };
        here = match &mut here.value {
            Value::Table(keys) => keys
                .entry(part.into())
                .or_insert_with(|| Typed { place: Place::Override, value: Value::Table(BTreeMap::new()) }),
            Value::List(items) => {
                let count = items.len();
                part.parse::<usize>().ok().and_then(|index| items.get_mut(index)).ok_or_else(|| {
                    unreachable(format!("{passed} is a list of {count}, and {part:?} is not one of them"))
                })?
            }
            other => return Err(unreachable(format!("{passed} is {}", other.describe()))),
        };
        if !passed.is_empty() {
            passed.push('.');
        }
        passed.push_str(part);
    }
    *here = Typed { place: Place::Override, value: override_value(value.trim()) };
    Ok(())
}

fn override_value(text: &str) -> Value {
    let line = format!("value = {text}");
    // More than one key means that the text broke out of its line.
    match DeTable::parse(&line).map(Spanned::into_inner) {
        Ok(table) if table.len() == 1 && !text.contains('\n') => {
            table.into_iter().next().map_or(Value::Text(text.into()), |(_, value)| {
                value_of(value.into_inner(), &|_| Place::Override)
            })
        }
        _ => Value::Text(text.into()),
    }
}

fn table_of(table: DeTable<'_>, at: &impl Fn(usize) -> Place) -> Value {
    let entry = |(key, value): (Spanned<std::borrow::Cow<'_, str>>, Spanned<DeValue<'_>>)| {
        let place = at(key.span().start);
        (key.into_inner().into_owned(), Typed { place, value: value_of(value.into_inner(), at) })
    };
    Value::Table(table.into_iter().map(entry).collect())
}

fn value_of(value: DeValue<'_>, at: &impl Fn(usize) -> Place) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Other(number.as_str().into()), Value::Whole),
        DeValue::Float(number) => {
            number.as_str().parse().map_or_else(|_| Value::Other(number.as_str().into()), Value::Real)
        }
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(date) => Value::Other(format!("the date {date}")),
        DeValue::Array(items) => Value::List(
            items
                .into_iter()
                .map(|item| {
                    let place = at(item.span().start);
                    Typed { place, value: value_of(item.into_inner(), at) }
                })
                .collect(),
        ),
        DeValue::Table(table) => table_of(table, at),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}
