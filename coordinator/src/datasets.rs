//! The rows that the coordinator serves, so that a worker needs no files.

use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;
use lockstep_data::{Catalog, Prepared, Rows, RowsError};
use lockstep_proto::message::Dataset;
use lockstep_proto::settings::ROWS_PART;

/// Both datasets.
#[derive(Clone, Debug)]
pub struct Datasets {
    /// The training rows.
    pub train: Rows,
    /// The validation rows.
    pub validation: Option<Rows>,
    /// What they are.
    pub catalog: Catalog,
    json: OnceLock<Bytes>,
}

impl Datasets {
    /// Of a run.
    pub fn new(prepared: Prepared) -> Self {
        let Prepared { train, validation, catalog } = prepared;
        Self { train, validation, catalog, json: OnceLock::new() }
    }

    /// The catalog as it travels.
    pub(crate) fn catalog_json(&self) -> &Bytes {
        self.json.get_or_init(|| serde_json::to_vec(&self.catalog).unwrap_or_default().into())
    }

    fn rows(&self, dataset: Dataset) -> Option<&Rows> {
        match dataset {
            Dataset::Train => Some(&self.train),
            Dataset::Validation => self.validation.as_ref(),
            Dataset::Catalog => None,
        }
    }

    /// Rows `first..first + count`, as far as there are such, cut into parts for travel. No part reaches
    /// over the end of a block.
    pub(crate) fn cut(&self, dataset: Dataset, first: u64, count: u64) -> Vec<Range<u64>> {
        let Some(rows) = self.rows(dataset) else { return Vec::new() };
        let shape = rows.shape();
        let end = first.saturating_add(count).min(shape.rows);
        let row_bytes = shape.width().unwrap_or(0).saturating_mul(4).saturating_add(16);
        let step = (ROWS_PART / row_bytes).max(1) as u64;
        let (mut parts, mut at, mut block) = (Vec::new(), first, 0..0);
        while at < end {
            if !block.contains(&at) {
                block = rows.around(at);
            }
            let stop = at.saturating_add(step).min(end).min(block.end.max(at + 1));
            parts.push(at..stop);
            at = stop;
        }
        parts
    }

    /// The bytes of one part.
    pub(crate) fn part(&self, dataset: Dataset, part: Range<u64>) -> Result<Vec<u8>, RowsError> {
        self.rows(dataset).map_or_else(|| Ok(Vec::new()), |rows| rows.part(part))
    }
}
