//! CSV and TSV: quoted as RFC 4180, UTF-8, with a header or without. Space around a field does not
//! count, and neither do blank lines.
//!
//! A line without a quote is divided where its delimiters are; every other is csv-core's.

use std::ops::Range;

use arrow_array::builder::LargeStringBuilder;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::lines::{Lines, Record, Text};
use super::scan::{self, Blocks, Split};
use crate::dataset::unnamed;
use crate::places::Opened;
use crate::{DataError, FileEntry, Place, Wrong};

/// Fields between delimiters.
pub(super) struct Delimited {
    delimiter: u8,
    /// In every record.
    fields: usize,
}

pub(super) fn open(opened: Opened, delimiter: u8, header: bool) -> Result<Lines<Delimited>, DataError> {
    let wrong = |place, what| DataError { file: opened.name().into(), place, column: None, what };
    // A byte order mark.
    let from = if opened.head(3)? == "\u{feff}" { 3 } else { 0 };
    let (mut names, mut blocks) = (None, Blocks::default());
    scan::each(&*opened.blob, from, &mut Records::new(delimiter, 0, &[]), &mut |place, record| {
        if names.is_none() {
            names = Some(Records::new(delimiter, 0, &[]).names(record, header));
            if header {
                return true;
            }
        }
        blocks.add(place.start);
        true
    })?;
    let names = names.ok_or_else(|| wrong(Place::Whole, Wrong::Empty))?;
    let names = names.map_err(|what| wrong(Place::Line(1), what))?;
    let text = Delimited { delimiter, fields: names.len() };
    Lines::new(opened, names, blocks, text)
}

pub(super) fn reopen(
    opened: Opened,
    entry: &FileEntry,
    delimiter: u8,
) -> Result<Lines<Delimited>, DataError> {
    let fields = entry.text.as_ref().map_or(0, |text| text.names.len());
    Lines::reopened(opened, entry, Delimited { delimiter, fields })
}

impl Text for Delimited {
    type Records<'a> = Records<'a>;

    fn records<'a>(&'a self, columns: &'a [usize]) -> Records<'a> {
        Records::new(self.delimiter, self.fields, columns)
    }
}

/// Takes records apart.
pub(super) struct Records<'a> {
    delimiter: u8,
    fields: usize,
    columns: &'a [usize],
    quoted: Reader,
    /// The fields of a quoted record, end to end.
    unquoted: Vec<u8>,
    ends: Vec<usize>,
    /// Where the fields are, in the record or in `unquoted`.
    places: Vec<Range<usize>>,
}

impl<'a> Records<'a> {
    fn new(delimiter: u8, fields: usize, columns: &'a [usize]) -> Self {
        let quoted = ReaderBuilder::new().delimiter(delimiter).build();
        let (unquoted, ends, places) = (Vec::new(), Vec::new(), Vec::new());
        Self { delimiter, fields, columns, quoted, unquoted, ends, places }
    }

    /// The names in a header, or of as many columns.
    fn names(mut self, record: &[u8], header: bool) -> Result<Vec<String>, Wrong> {
        let quoted = self.divide(record);
        let fields = if quoted { &self.unquoted } else { record };
        let name = |place: &Range<usize>| {
            let name = std::str::from_utf8(fields.get(place.clone()).unwrap_or_default());
            name.map(|name| name.trim().to_owned()).map_err(|_| Wrong::NotUtf8)
        };
        if header {
            self.places.iter().map(name).collect()
        } else {
            Ok((0..self.places.len()).map(unnamed).collect())
        }
    }

    /// Reads a record that has quotes; gives the bytes that it takes, unless its end is not there.
    fn unquote(&mut self, text: &[u8], last: bool) -> Option<usize> {
        self.quoted.reset();
        // Only the first bytes of a file are a byte order mark; after a blank line, these are not.
        self.quoted.read_record(b"\n", &mut [], &mut []);
        let (mut read, mut written, mut ended) = (0, 0, 0);
        loop {
            let input = text.get(read..).unwrap_or_default();
            if input.is_empty() && !last {
                return None;
            }
            let output = self.unquoted.get_mut(written..).unwrap_or_default();
            let ends = self.ends.get_mut(ended..).unwrap_or_default();
            let (result, from, to, end) = self.quoted.read_record(input, output, ends);
            (read, written, ended) = (read + from, written + to, ended + end);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.unquoted.resize(256 + 2 * self.unquoted.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(32 + 2 * self.ends.len(), 0),
                ReadRecordResult::Record | ReadRecordResult::End => break,
            }
        }
        let mut start = 0;
        self.places.clear();
        self.places.extend(self.ends.iter().take(ended).map(|end| std::mem::replace(&mut start, *end)..*end));
        Some(read)
    }

    /// Finds the fields of a whole record; says whether they are in `unquoted`.
    fn divide(&mut self, record: &[u8]) -> bool {
        if memchr::memchr(b'"', record).is_some() {
            return self.unquote(record, true).is_some();
        }
        let end = record.len() - usize::from(matches!(record.last(), Some(b'\r' | b'\n')));
        let line = record.get(..end).unwrap_or_default();
        let mut start = 0;
        self.places.clear();
        let ends = memchr::memchr_iter(self.delimiter, line).chain(std::iter::once(end));
        self.places.extend(ends.map(|end| std::mem::replace(&mut start, end + 1)..end));
        false
    }
}

impl Split for Records<'_> {
    fn next(&mut self, text: &[u8], at: usize, last: bool) -> Option<Range<usize>> {
        let rest = text.get(at..)?;
        let start = at + rest.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
        let rest = text.get(start..)?;
        let length = match memchr::memchr3(b'"', b'\r', b'\n', rest) {
            Some(place) if rest.get(place) == Some(&b'"') => self.unquote(rest, last)?,
            Some(place) => place + 1,
            None if last => rest.len(),
            None => return None,
        };
        Some(start..start + length)
    }
}

impl Record for Records<'_> {
    fn add(&mut self, record: &[u8], values: &mut [LargeStringBuilder]) -> Result<(), Wrong> {
        let quoted = self.divide(record);
        let (found, expected) = (self.places.len() as u64, self.fields as u64);
        if found != expected {
            return Err(Wrong::Ragged { found, expected });
        }
        // Fields that lie end to end may be text together and none by themselves.
        let field = |place: &Range<usize>| std::str::from_utf8(self.unquoted.get(place.clone())?).ok();
        if quoted && !self.places.iter().all(|place| field(place).is_some()) {
            return Err(Wrong::NotUtf8);
        }
        let fields = if quoted {
            self.unquoted.get(..self.places.last().map_or(0, |last| last.end))
        } else {
            Some(record)
        };
        let fields = std::str::from_utf8(fields.unwrap_or_default()).map_err(|_| Wrong::NotUtf8)?;
        for (values, column) in values.iter_mut().zip(self.columns) {
            let place = self.places.get(*column).cloned();
            values.append_option(place.and_then(|place| fields.get(place)));
        }
        Ok(())
    }
}
