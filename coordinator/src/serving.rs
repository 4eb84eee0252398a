//! One answer to a request for rows, part by part.

use std::ops::Range;
use std::sync::Arc;

use lockstep_data::RowsError;
use lockstep_proto::message::Dataset;
use lockstep_proto::settings::ROWS_PART;
use lockstep_proto::{Session, wire};
use tokio::sync::mpsc;
use tonic::Status;

use crate::calls::Call;
use crate::datasets::Datasets;

/// zstd's fastest: rows should not wait for it.
const LEVEL: i32 = 1;

#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) rows: Arc<Datasets>,
    pub(crate) calls: mpsc::Sender<Call>,
    pub(crate) session: Session,
    pub(crate) dataset: Dataset,
    /// Whether bytes are scarcer than time.
    pub(crate) pack: bool,
}

impl Serving {
    /// The bytes of the catalog, cut into parts.
    pub(crate) fn catalog(&self, first: u64, count: u64) -> Vec<Range<u64>> {
        let end = first.saturating_add(count).min(self.rows.catalog_json().len() as u64);
        let step = ROWS_PART as u64;
        (first..end).step_by(ROWS_PART).map(|start| start..(start + step).min(end)).collect()
    }

    /// Reads and encodes; it may take a while.
    pub(crate) fn part(&self, part: Range<u64>) -> Result<wire::RowsPart, Status> {
        // A sign of life that a full queue may lose.
        let _ = self.calls.try_send(Call::Moved(self.session));
        let (first, count) = (part.start, part.end - part.start);
        let payload = match self.dataset {
            Dataset::Catalog => {
                let bytes = self.rows.catalog_json();
                bytes.get(part.start as usize..part.end as usize).unwrap_or_default().to_vec()
            }
            dataset => self.rows.part(dataset, part).map_err(|why| self.failed(&why))?,
        };
        let (payload, unpacked) = if self.pack { packed(payload) } else { (payload, 0) };
        Ok(wire::RowsPart { first, count, payload: payload.into(), unpacked })
    }

    /// A block that this side cannot read either ends the run: nobody else could go on with it.
    fn failed(&self, why: &RowsError) -> Status {
        if let RowsError::Block { .. } = why {
            let text = format!("{why}; once the data are back, go on with --resume");
            // Without a driver the run has ended.
            let _ = self.calls.blocking_send(Call::Failed(text));
        }
        Status::out_of_range(why.to_string())
    }
}

/// Packed, and how long it was, where that saves an eighth; else as it is, and 0.
fn packed(payload: Vec<u8>) -> (Vec<u8>, u32) {
    let worth = |packed: &Vec<u8>| packed.len() < payload.len() - payload.len() / 8;
    match zstd::bulk::compress(&payload, LEVEL).ok().filter(worth) {
        Some(packed) => (packed, u32::try_from(payload.len()).unwrap_or(u32::MAX)),
        None => (payload, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::packed;

    #[test]
    fn only_what_gets_shorter_is_packed() {
        let alike = vec![7; 10_000];
        let (short, length) = packed(alike.clone());
        assert!(short.len() < 1000 && length == 10_000);
        assert_eq!(zstd::bulk::decompress(&short, 10_000).unwrap(), alike);
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(10_000)
        .collect();
        assert_eq!(packed(noise.clone()), (noise, 0));
        assert_eq!(packed(Vec::new()), (Vec::new(), 0));
    }
}
