//! Where the messages of an Arrow file or stream are. A file lists them at its end; a stream is gone
//! through from header to header.

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::{Block, Message, root_as_footer, root_as_message};
use arrow_schema::SchemaRef;

use super::announced::short;
use crate::places::{Blob, Stream};

/// A longer footer or header is a lie, or the work of nobody.
const LONGEST: u64 = 256 << 20;

/// An Arrow file or stream before a row is read.
pub(super) struct Messages {
    pub(super) schema: SchemaRef,
    pub(super) dictionaries: Vec<Place>,
    pub(super) batches: Vec<Batch>,
}

/// Where a message is: its header, then its body.
#[derive(Clone, Copy)]
pub(super) struct Place {
    start: u64,
    header: u64,
    body: u64,
}

/// A batch of rows.
#[derive(Clone, Copy)]
pub(super) struct Batch {
    pub(super) place: Place,
    /// How many of the dictionaries come before it.
    pub(super) dictionaries: usize,
    pub(super) rows: u64,
}

impl Messages {
    /// # Errors
    /// Structures that cannot be read, or that announce more than there is.
    pub(super) fn of(blob: &Arc<dyn Blob>) -> Result<Self, String> {
        let head = read(blob, 0, 6.min(blob.length()))?;
        if head == b"ARROW1"[..] { Self::listed(blob) } else { Self::streamed(blob) }
    }

    fn listed(blob: &Arc<dyn Blob>) -> Result<Self, String> {
        let end = blob.length().checked_sub(10).ok_or_else(short)?;
        let tail = read(blob, end, 10)?;
        let length = tail.strip_suffix(b"ARROW1").and_then(|length| length.first_chunk::<4>());
        let length = length.ok_or("its last bytes are not those of an Arrow file")?;
        let length = u64::try_from(i32::from_le_bytes(*length)).map_err(|_| short())?;
        let footer = read(blob, end.checked_sub(length).ok_or_else(short)?, length)?;
        let footer = root_as_footer(&footer).map_err(|error| error.to_string())?;
        let schema = footer.schema().ok_or("it has no schema")?;
        let place = |block: &Block| {
            Place::of(blob, block.offset(), block.metaDataLength().into(), block.bodyLength())
        };
        let dictionaries = footer.dictionaries().into_iter().flat_map(|all| all.iter().map(place));
        let dictionaries = dictionaries.collect::<Result<Vec<_>, _>>()?;
        let batch = |block: &Block| {
            let place = place(block)?;
            let rows = rows(place.message(&place.header(blob)?)?)?;
            Ok::<_, String>(Batch { place, dictionaries: dictionaries.len(), rows })
        };
        let batches = footer.recordBatches().into_iter().flat_map(|all| all.iter().map(batch));
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { schema: schema_of(schema)?, dictionaries, batches })
    }

    fn streamed(blob: &Arc<dyn Blob>) -> Result<Self, String> {
        let mut stream = Stream::new(blob.clone(), 0);
        let (mut schema, mut dictionaries, mut batches) = (None, Vec::new(), Vec::new());
        let mut start = 0;
        while let Some((place, header)) = next(&mut stream, blob, start)? {
            let message = place.message(&header)?;
            if let Some(found) = message.header_as_schema() {
                schema.get_or_insert(schema_of(found)?);
            } else if message.header_as_dictionary_batch().is_some() {
                dictionaries.push(place);
            } else {
                batches.push(Batch { place, dictionaries: dictionaries.len(), rows: rows(message)? });
            }
            start = place.start + place.header + place.body;
        }
        Ok(Self { schema: schema.ok_or("it has no schema")?, dictionaries, batches })
    }
}

/// The message that starts there, if it is not the end.
fn next(stream: &mut Stream, blob: &Arc<dyn Blob>, start: u64) -> Result<Option<(Place, Vec<u8>)>, String> {
    let failed = |error: std::io::Error| error.to_string();
    let left = blob.length().saturating_sub(start);
    let mut four = || {
        let mut four = [0; 4];
        stream.read_exact(&mut four).map_err(failed).map(|()| four)
    };
    if left < 4 {
        return Ok(None);
    }
    // Older writers leave the first four bytes out.
    let first = four()?;
    let marked = first == [0xff; 4];
    if marked && left < 8 {
        return Ok(None);
    }
    let length = if marked { four()? } else { first };
    let length = u64::try_from(i32::from_le_bytes(length)).map_err(|_| short())?;
    if length == 0 {
        return Ok(None);
    }
    let before = if marked { 8 } else { 4 };
    if length > LONGEST.min(left - before) {
        return Err(short());
    }
    let mut header = first.to_vec();
    header.resize(before as usize, 0);
    stream.take(length).read_to_end(&mut header).map_err(failed)?;
    let place = Place { start, header: before + length, body: 0 };
    let body = place.message(&header)?.bodyLength();
    let place = Place::of(blob, start as i64, place.header as i64, body)?;
    stream.seek(SeekFrom::Current(body)).map_err(failed)?;
    Ok(Some((place, header)))
}

impl Place {
    fn of(blob: &Arc<dyn Blob>, start: i64, header: i64, body: i64) -> Result<Self, String> {
        let [start, header, body] = [start, header, body].map(|number| u64::try_from(number).ok());
        let place = start.zip(header).zip(body).map(|((start, header), body)| Self { start, header, body });
        let there = place.filter(|place| {
            let end = place.header.checked_add(place.body).and_then(|length| place.start.checked_add(length));
            place.header <= LONGEST && end.is_some_and(|end| end <= blob.length())
        });
        there.ok_or_else(short)
    }

    fn header(&self, blob: &Arc<dyn Blob>) -> Result<bytes::Bytes, String> {
        read(blob, self.start, self.header)
    }

    /// Header and body.
    pub(super) fn whole(&self, blob: &Arc<dyn Blob>) -> Result<(bytes::Bytes, bytes::Bytes), String> {
        let mut header = read(blob, self.start, self.header + self.body)?;
        let at = usize::try_from(self.header).unwrap_or(usize::MAX).min(header.len());
        let body = header.split_off(at);
        Ok((header, body))
    }

    /// What a header says.
    pub(super) fn message<'h>(&self, header: &'h [u8]) -> Result<Message<'h>, String> {
        let skipped = if header.starts_with(&[0xff; 4]) { 8 } else { 4 };
        root_as_message(header.get(skipped..).unwrap_or_default()).map_err(|error| error.to_string())
    }
}

fn schema_of(schema: arrow_ipc::Schema<'_>) -> Result<SchemaRef, String> {
    try_fb_to_schema(schema).map(Arc::new).map_err(|error| error.to_string())
}

fn rows(message: Message<'_>) -> Result<u64, String> {
    let batch = message.header_as_record_batch().ok_or("found another message, expected rows")?;
    u64::try_from(batch.length()).map_err(|_| "it announces fewer than no rows".into())
}

fn read(blob: &Arc<dyn Blob>, start: u64, length: u64) -> Result<bytes::Bytes, String> {
    let end = start.checked_add(length).ok_or_else(short)?;
    blob.read(start..end).map_err(|error| error.what.to_string())
}
