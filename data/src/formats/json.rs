//! JSON lines: an object a line, UTF-8. The columns are all keys, in the order in which they first appear;
//! a key that an object lacks, and `null`, are missing values. Numbers are kept as they are spelled.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::file;
use super::lines::{Fields, Lines, Records, Take};
use crate::{DataError, Wrong};

/// The columns by name.
#[derive(Debug)]
pub(super) struct Objects(BTreeMap<String, usize>);

pub(super) fn open(path: &Path) -> Result<Lines<Objects>, DataError> {
    let mut opened = file::open(path)?;
    let text = opened.read(u64::MAX)?;
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(DataError::whole(opened.name, Wrong::Empty));
    }
    let (mut names, mut columns) = (Vec::new(), BTreeMap::new());
    for (_, line) in lines(&text, 0) {
        // A torn line names nothing; it is found again below.
        for (name, _) in object(line).map(|object| object.0).unwrap_or_default() {
            if !columns.contains_key(&name) {
                columns.insert(name.clone(), names.len());
                names.push(name);
            }
        }
    }
    Lines::new(opened.name, text, 0, names, Objects(columns))
}

/// Lines that are not blank, with where they start.
fn lines(text: &[u8], start: usize) -> impl Iterator<Item = (usize, &[u8])> {
    let rest = text.get(start..).unwrap_or_default();
    let mut at = start;
    rest.split_inclusive(|byte| *byte == b'\n').filter_map(move |line| {
        let here = at;
        at += line.len();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        (!line.iter().all(u8::is_ascii_whitespace)).then_some((here, line))
    })
}

fn object(line: &[u8]) -> Result<Object<'_>, Wrong> {
    let line = std::str::from_utf8(line).map_err(|_| Wrong::NotUtf8)?;
    serde_json::from_str(line).map_err(|error| Wrong::Json(error.to_string()))
}

impl Records for Objects {
    fn each(&self, text: &[u8], start: usize, take: &mut Take<'_>) -> Result<(), (usize, Wrong)> {
        let mut record = Record(vec![None; self.0.len()]);
        for (at, line) in lines(text, start) {
            record.0.fill(None);
            let read = object(line).map(|Object(fields)| {
                for (name, value) in fields {
                    if let Some(place) = self.0.get(&name).and_then(|column| record.0.get_mut(*column)) {
                        *place = cell(value);
                    }
                }
            });
            let go_on = match read {
                Ok(()) => take(at, Ok(&record)),
                Err(wrong) => take(at, Err(wrong)),
            };
            if !go_on {
                break;
            }
        }
        Ok(())
    }
}

/// A string's text, and everything else as it is spelled.
fn cell(value: &RawValue) -> Option<String> {
    let raw = value.get();
    match raw {
        "null" => None,
        _ if raw.starts_with('"') => serde_json::from_str(raw).ok(),
        _ => Some(raw.into()),
    }
}

struct Record(Vec<Option<String>>);

impl Fields for Record {
    fn field(&self, i: usize) -> Option<&str> {
        self.0.get(i)?.as_deref()
    }
}

/// Keys and values in their order; of a key twice, the last counts.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object such as {\"age\": 31}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        from.deserialize_map(Keys)
    }
}
