//! What an Arrow message announces, against what it holds.
//!
//! Arrow's readers reserve the sizes that a file announces before they look at its bytes, and memory that
//! cannot be had ends the process. So sizes are looked at first.

use arrow_ipc::{Message, RecordBatch};

/// No packing is known to be tighter: zstd packs runs of a byte by about 2^15.
const MOST_INFLATED: u64 = 1 << 16;

/// # Errors
/// A size that the message's body cannot have.
pub(super) fn check(message: Message<'_>, body: &[u8]) -> Result<(), String> {
    let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let batch = message.header_as_record_batch();
    batch.into_iter().chain(dictionary).try_for_each(|batch| packed(batch, body))
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

pub(super) fn short() -> String {
    "it announces more bytes than it has".into()
}
