//! Reading typed values: a field knows its key, so that every error names it.

use std::collections::BTreeMap;

use super::problem::{Place, Problem, Wrong};
use super::typed::{Typed, Value};
use crate::nearest::nearest;

/// A value, with its key.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) key: String,
    pub(super) typed: Typed,
}

impl Field {
    pub(super) fn wrong(&self, what: Wrong) -> Problem {
        Problem { place: Some(self.typed.place.clone()), key: self.key.clone(), what }
    }

    pub(super) fn unexpected(&self, expected: impl Into<String>) -> Problem {
        self.wrong(Wrong::Value { found: self.typed.value.describe(), expected: expected.into() })
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.typed.value, Value::Table(_))
    }

    pub(super) fn text(&self, expected: &str) -> Result<&str, Problem> {
        match &self.typed.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.unexpected(expected)),
        }
    }

    pub(super) fn bool(&self) -> Result<bool, Problem> {
        match self.typed.value {
            Value::Bool(value) => Ok(value),
            _ => Err(self.unexpected("true or false")),
        }
    }

    /// A whole number from `least` to `most`.
    pub(super) fn whole(&self, least: u64, most: u64) -> Result<u64, Problem> {
        match self.typed.value {
            Value::Whole(number) => u64::try_from(number).ok().filter(|n| (least..=most).contains(n)),
            _ => None,
        }
        .ok_or_else(|| {
            self.unexpected(match most {
                u64::MAX => format!("a whole number, {least} or more"),
                _ => format!("a whole number from {least} to {most}"),
            })
        })
    }

    /// A finite number that `fits`; whole numbers count.
    pub(super) fn real(&self, expected: &str, fits: impl Fn(f64) -> bool) -> Result<f64, Problem> {
        match self.typed.value {
            Value::Real(number) => Some(number),
            Value::Whole(number) => Some(number as f64),
            _ => None,
        }
        .filter(|number| number.is_finite() && fits(*number))
        .ok_or_else(|| self.unexpected(expected))
    }

    pub(super) fn list(&self, expected: &str) -> Result<Vec<Self>, Problem> {
        let Value::List(items) = &self.typed.value else { return Err(self.unexpected(expected)) };
        let item =
            |(i, typed): (usize, &Typed)| Self { key: format!("{}.{i}", self.key), typed: typed.clone() };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, Problem> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let text = self.text(&format!("one of {}", names.join(", ")))?;
        match choices.iter().find(|(name, _)| *name == text) {
            Some((_, choice)) => Ok(*choice),
            None => Err(self.unknown_name(text, &names)),
        }
    }

    /// `"name"` or `{ name = body }`, one of the known names.
    pub(super) fn tagged(&self, known: &[&str]) -> Result<(String, Option<Self>), Problem> {
        let (name, body) = match &self.typed.value {
            Value::Text(name) => (name.clone(), None),
            Value::Table(keys) => match keys.iter().next() {
                Some((name, typed)) if keys.len() == 1 => {
                    (name.clone(), Some(Self { key: format!("{}.{name}", self.key), typed: typed.clone() }))
                }
                _ => return Err(self.unexpected(format!("one name, one of {}", known.join(", ")))),
            },
            _ => return Err(self.unexpected(format!("one of {}", known.join(", ")))),
        };
        if known.contains(&name.as_str()) { Ok((name, body)) } else { Err(self.unknown_name(&name, known)) }
    }

    fn unknown_name(&self, found: &str, known: &[&str]) -> Problem {
        self.wrong(Wrong::UnknownName {
            found: found.into(),
            nearest: nearest(found, known.iter().copied()).map(Into::into),
            known: known.iter().map(ToString::to_string).collect(),
        })
    }
}

/// A table whose keys are all known.
#[derive(Debug)]
pub(super) struct Section {
    key: String,
    place: Option<Place>,
    keys: BTreeMap<String, Typed>,
}

impl Section {
    /// An unknown key is found before a missing one: it is often the reason.
    pub(super) fn new(field: &Field, known: &[&str]) -> Result<Self, Problem> {
        let Value::Table(keys) = &field.typed.value else {
            return Err(field.unexpected(match known {
                [] => "a table without keys".into(),
                _ => format!("a table of {}", known.join(", ")),
            }));
        };
        let section =
            Self { key: field.key.clone(), place: Some(field.typed.place.clone()), keys: keys.clone() };
        for (key, typed) in &section.keys {
            if !known.contains(&key.as_str()) {
                return Err(Problem {
                    place: Some(typed.place.clone()),
                    key: section.path(key),
                    what: Wrong::UnknownKey {
                        nearest: nearest(key, known.iter().copied()).map(Into::into),
                        known: known.iter().map(ToString::to_string).collect(),
                    },
                });
            }
        }
        Ok(section)
    }

    /// The body of a tagged name, empty if only the name was typed.
    pub(super) fn body(tag: &Field, body: Option<&Field>, known: &[&str]) -> Result<Self, Problem> {
        match body {
            Some(body) => Self::new(body, known),
            None => {
                Ok(Self { key: tag.key.clone(), place: Some(tag.typed.place.clone()), keys: BTreeMap::new() })
            }
        }
    }

    fn path(&self, key: &str) -> String {
        if self.key.is_empty() { key.into() } else { format!("{}.{key}", self.key) }
    }

    pub(super) fn get(&self, key: &str) -> Option<Field> {
        self.keys.get(key).map(|typed| Field { key: self.path(key), typed: typed.clone() })
    }

    pub(super) fn need(&self, key: &str, expected: &str) -> Result<Field, Problem> {
        self.get(key).ok_or_else(|| Problem {
            place: self.place.clone(),
            key: self.path(key),
            what: Wrong::Missing(expected.into()),
        })
    }

    /// A section below, empty if it was not typed.
    pub(super) fn section(&self, key: &str, known: &[&str]) -> Result<Self, Problem> {
        match self.get(key) {
            Some(field) => Self::new(&field, known),
            None => Ok(Self { key: self.path(key), place: None, keys: BTreeMap::new() }),
        }
    }

    pub(super) fn whole(&self, key: &str, default: u64, least: u64, most: u64) -> Result<u64, Problem> {
        self.get(key).map_or(Ok(default), |field| field.whole(least, most))
    }

    pub(super) fn real(
        &self,
        key: &str,
        default: f64,
        expected: &str,
        fits: impl Fn(f64) -> bool,
    ) -> Result<f64, Problem> {
        self.get(key).map_or(Ok(default), |field| field.real(expected, fits))
    }
}
