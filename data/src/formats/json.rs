//! JSON lines: an object a line, UTF-8. The columns are all keys, in the order in which they first appear;
//! a key that an object lacks, and `null`, are missing values. Numbers are kept as they are spelled.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use arrow_array::builder::LargeStringBuilder;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::lines::{Lines, Record, Text};
use super::scan::{self, Blocks, Split};
use crate::places::Opened;
use crate::{DataError, FileEntry, Wrong};

/// The columns.
pub(super) struct Objects(Vec<String>);

pub(super) fn open(opened: Opened) -> Result<Lines<Objects>, DataError> {
    let (mut names, mut known) = (Vec::new(), std::collections::BTreeSet::new());
    let mut blocks = Blocks::default();
    scan::each(&*opened.blob, 0, &mut NonBlank, &mut |place, line| {
        blocks.add(place.start);
        let mut keys = Vec::new();
        // A torn line names nothing.
        if object(line, &mut |key, _| keys.push(key.into_owned())).is_ok() {
            for key in keys {
                if !known.contains(&key) {
                    known.insert(key.clone());
                    names.push(key);
                }
            }
        }
        true
    })?;
    if blocks.rows.is_empty() {
        return Err(DataError::whole(opened.name(), Wrong::Empty));
    }
    Lines::new(opened, names.clone(), blocks, Objects(names))
}

pub(super) fn reopen(opened: Opened, entry: &FileEntry) -> Result<Lines<Objects>, DataError> {
    let names = entry.text.as_ref().map(|text| text.names.clone()).unwrap_or_default();
    Lines::reopened(opened, entry, Objects(names))
}

impl Text for Objects {
    type Records<'a> = Values<'a>;

    fn records<'a>(&'a self, columns: &'a [usize]) -> Values<'a> {
        let mut wanted: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, column) in columns.iter().enumerate() {
            if let Some(name) = self.0.get(*column) {
                wanted.entry(name).or_default().push(place);
            }
        }
        Values { wanted, cells: columns.len() }
    }
}

/// Lines that are not blank.
struct NonBlank;

impl Split for NonBlank {
    fn next(&mut self, text: &[u8], at: usize, last: bool) -> Option<Range<usize>> {
        let rest = text.get(at..)?;
        let start = at + rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let rest = text.get(start..)?;
        let length = memchr::memchr(b'\n', rest).map(|place| place + 1).or(last.then_some(rest.len()))?;
        Some(start..start + length)
    }
}

/// Takes objects apart.
pub(super) struct Values<'a> {
    /// For each key, the places in which its value is wanted.
    wanted: BTreeMap<&'a str, Vec<usize>>,
    cells: usize,
}

impl Split for Values<'_> {
    fn next(&mut self, text: &[u8], at: usize, last: bool) -> Option<Range<usize>> {
        NonBlank.next(text, at, last)
    }
}

impl Record for Values<'_> {
    fn add(&mut self, line: &[u8], values: &mut [LargeStringBuilder]) -> Result<(), Wrong> {
        // Of a key twice, the last counts.
        let mut cells = vec![None; self.cells];
        object(line, &mut |key, value| {
            for place in self.wanted.get(key.as_ref()).into_iter().flatten() {
                cells.get_mut(*place).into_iter().for_each(|cell| *cell = Some(value));
            }
        })?;
        for (values, cell) in values.iter_mut().zip(cells) {
            values.append_option(cell.and_then(text));
        }
        Ok(())
    }
}

/// A string's text, and everything else as it is spelled.
fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let raw = value.get();
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        _ if raw == "null" => None,
        None => Some(raw.into()),
        Some(plain) if !plain.contains('\\') => Some(plain.into()),
        Some(_) => serde_json::from_str::<String>(raw).ok().map(Cow::Owned),
    }
}

/// Takes a key and its value as it is spelled.
type Take<'t, 'v> = dyn FnMut(Cow<'v, str>, &'v RawValue) + 't;

/// Calls `take` for each field, in order, perhaps also where the line is no object in the end.
fn object<'v>(line: &'v [u8], take: &mut Take<'_, 'v>) -> Result<(), Wrong> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = std::str::from_utf8(line).map_err(|_| Wrong::NotUtf8)?;
    let mut reader = serde_json::Deserializer::from_str(line);
    let read = Fields(take).deserialize(&mut reader).and_then(|()| reader.end());
    read.map_err(|error| Wrong::Json(error.to_string()))
}

struct Fields<'f, 't, 'v>(&'f mut Take<'t, 'v>);

impl<'v> DeserializeSeed<'v> for Fields<'_, '_, 'v> {
    type Value = ();

    fn deserialize<D: Deserializer<'v>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'v> Visitor<'v> for Fields<'_, '_, 'v> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object such as {\"age\": 31}")
    }

    fn visit_map<A: MapAccess<'v>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            (self.0)(key, map.next_value()?);
        }
        Ok(())
    }
}

/// A key, borrowed if nothing in it is escaped.
struct Key;

impl<'v> DeserializeSeed<'v> for Key {
    type Value = Cow<'v, str>;

    fn deserialize<D: Deserializer<'v>>(self, from: D) -> Result<Cow<'v, str>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'v> Visitor<'v> for Key {
    type Value = Cow<'v, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'v str) -> Result<Cow<'v, str>, E> {
        Ok(key.into())
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'v, str>, E> {
        Ok(Cow::Owned(key.into()))
    }
}
