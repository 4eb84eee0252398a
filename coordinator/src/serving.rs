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
        let packed = if self.pack { zstd::bulk::compress(&payload, LEVEL).ok() } else { None };
        let worth = |packed: &Vec<u8>| packed.len() < payload.len() - payload.len() / 8;
        Ok(match packed.filter(worth) {
            Some(packed) => {
                let unpacked = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                wire::RowsPart { first, count, payload: packed.into(), unpacked }
            }
            None => wire::RowsPart { first, count, payload: payload.into(), unpacked: 0 },
        })
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
