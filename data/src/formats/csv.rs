//! CSV and TSV: quoted as RFC 4180, UTF-8, with a header or without. Space around a field does not
//! count, and neither do blank lines.

use std::path::Path;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::file;
use super::lines::{Fields, Lines, Records, Take};
use crate::dataset::unnamed;
use crate::{DataError, Place, Wrong};

/// Fields between delimiters.
#[derive(Debug)]
pub(super) struct Delimited {
    delimiter: u8,
    fields: usize,
}

pub(super) fn open(path: &Path, delimiter: u8, header: bool) -> Result<Lines<Delimited>, DataError> {
    let mut opened = file::open(path)?;
    let text = opened.read(u64::MAX)?;
    let file = opened.name;
    let mut reader = reader(&text, delimiter);
    let mut first = ByteRecord::new();
    if !matches!(reader.read_byte_record(&mut first), Ok(true)) {
        return Err(DataError::whole(file, Wrong::Empty));
    }
    let names = if header {
        let name = |field: &[u8]| std::str::from_utf8(field).map(|name| name.trim().to_owned());
        let names: Result<Vec<_>, _> = first.iter().map(name).collect();
        names.map_err(|_| DataError {
            file: file.clone(),
            place: Place::Line(1),
            column: None,
            what: Wrong::NotUtf8,
        })?
    } else {
        (0..first.len()).map(unnamed).collect()
    };
    let start = if header { offset(&reader) } else { 0 };
    let records = Delimited { delimiter, fields: first.len() };
    drop(reader);
    Lines::new(file, text, start, names, records)
}

impl Records for Delimited {
    fn each(&self, text: &[u8], start: usize, take: &mut Take<'_>) -> Result<(), (usize, Wrong)> {
        let mut reader = reader(text.get(start..).unwrap_or_default(), self.delimiter);
        let mut record = ByteRecord::new();
        loop {
            let at = start + offset(&reader);
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => return Err((at, Wrong::Csv(error.to_string()))),
            }
            let (found, expected) = (record.len() as u64, self.fields as u64);
            let fields = if found != expected {
                Err(Wrong::Ragged { found, expected })
            } else if record.iter().any(|field| std::str::from_utf8(field).is_err()) {
                Err(Wrong::NotUtf8)
            } else {
                Ok(&record as &dyn Fields)
            };
            if !take(at, fields) {
                return Ok(());
            }
        }
    }
}

impl Fields for ByteRecord {
    fn field(&self, i: usize) -> Option<&str> {
        std::str::from_utf8(self.get(i)?).ok()
    }
}

fn reader(bytes: &[u8], delimiter: u8) -> Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes)
}

fn offset(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.position().byte()).unwrap_or(usize::MAX)
}
