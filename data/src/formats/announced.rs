//! What an Arrow file announces, against what it holds.
//!
//! Arrow's readers reserve the sizes that a file announces before they look at its bytes, and memory that
//! cannot be had ends the process. So sizes are looked at first.

use arrow_ipc::{Block, Message, RecordBatch, root_as_footer, root_as_message};

/// No packing is known to be tighter: zstd packs runs of a byte by about 2^15.
const MOST_INFLATED: u64 = 1 << 16;

/// # Errors
/// A size that the bytes cannot have, or structures that cannot be read.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    if bytes.starts_with(b"ARROW1") { file(bytes) } else { stream(bytes) }
}

fn file(bytes: &[u8]) -> Result<(), String> {
    let body = bytes.strip_suffix(b"ARROW1").and_then(|rest| rest.split_last_chunk::<4>());
    let (rest, length) = body.ok_or("its last bytes are not those of an Arrow file")?;
    let length = usize::try_from(i32::from_le_bytes(*length)).map_err(|_| short())?;
    let footer = rest.get(rest.len().checked_sub(length).ok_or_else(short)?..).ok_or_else(short)?;
    let footer = root_as_footer(footer).map_err(|error| error.to_string())?;
    let blocks = footer.dictionaries().into_iter().chain(footer.recordBatches()).flat_map(|all| all.iter());
    blocks.into_iter().try_for_each(|block| in_file(bytes, block))
}

fn in_file(bytes: &[u8], block: &Block) -> Result<(), String> {
    let start = usize::try_from(block.offset()).map_err(|_| short())?;
    let header = usize::try_from(block.metaDataLength()).map_err(|_| short())?;
    let (header, rest) =
        bytes.get(start..).and_then(|rest| rest.split_at_checked(header)).ok_or_else(short)?;
    let body = usize::try_from(block.bodyLength()).ok().and_then(|length| rest.get(..length));
    let skipped = if header.starts_with(&[0xff; 4]) { 8 } else { 4 };
    message(header.get(skipped..).unwrap_or_default(), body.ok_or_else(short)?).map(drop)
}

fn stream(mut rest: &[u8]) -> Result<(), String> {
    loop {
        // Older writers leave the first four bytes out.
        rest = rest.strip_prefix(&[0xff; 4]).unwrap_or(rest);
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(()) };
        let length = usize::try_from(i32::from_le_bytes(*length)).map_err(|_| short())?;
        if length == 0 {
            return Ok(());
        }
        let (header, after) = after.split_at_checked(length).ok_or_else(short)?;
        let body = message(header, after)?;
        rest = after.get(body..).ok_or_else(short)?;
    }
}

/// The length of a message's body, which `body` has at its start.
fn message(header: &[u8], body: &[u8]) -> Result<usize, String> {
    let message: Message<'_> = root_as_message(header).map_err(|error| error.to_string())?;
    let length = usize::try_from(message.bodyLength()).map_err(|_| short())?;
    let body = body.get(..length).ok_or_else(short)?;
    let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    for batch in message.header_as_record_batch().into_iter().chain(dictionary) {
        packed(batch, body)?;
    }
    Ok(length)
}

fn packed(batch: RecordBatch<'_>, body: &[u8]) -> Result<(), String> {
    if batch.compression().is_none() {
        return Ok(());
    }
    for buffer in batch.buffers().into_iter().flatten() {
        let place = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let part = place.and_then(|(start, length)| body.get(start..)?.get(..length)).ok_or_else(short)?;
        let Some((announced, rest)) = part.split_first_chunk::<8>() else { continue };
        // -1 stands for bytes that are not packed.
        let announced = u64::try_from(i64::from_le_bytes(*announced)).unwrap_or(0);
        if announced > (rest.len() as u64).saturating_mul(MOST_INFLATED) {
            return Err(format!("{} packed bytes announce {announced}", rest.len()));
        }
    }
    Ok(())
}

fn short() -> String {
    "it announces more bytes than it has".into()
}
