//! The rows that the coordinator serves, so that a worker needs no files.

use std::ops::Range;

use lockstep_data::{GatherError, Table};
use lockstep_proto::message::Dataset;
use lockstep_proto::settings::ROWS_PART;

/// Both datasets in memory, in their stored type.
#[derive(Debug)]
pub struct Rows {
    /// The training rows.
    pub train: Table,
    /// The validation rows.
    pub validation: Option<Table>,
}

impl Rows {
    fn table(&self, dataset: Dataset) -> Option<&Table> {
        match dataset {
            Dataset::Train => Some(&self.train),
            Dataset::Validation => self.validation.as_ref(),
        }
    }

    /// Rows `first..first + count`, as far as there are such, cut into parts for travel.
    pub(crate) fn cut(&self, dataset: Dataset, first: u64, count: u64) -> Vec<Range<u64>> {
        let Some(table) = self.table(dataset) else { return Vec::new() };
        let end = first.saturating_add(count).min(table.rows());
        let row_bytes = table.width().saturating_mul(4).saturating_add(16);
        let step = (ROWS_PART / row_bytes).max(1);
        let starts = (first..end).step_by(step);
        starts.map(|start| start..(start + step as u64).min(end)).collect()
    }

    /// The bytes of one part.
    pub(crate) fn part(&self, dataset: Dataset, rows: Range<u64>) -> Result<Vec<u8>, GatherError> {
        self.table(dataset).map_or_else(|| Ok(Vec::new()), |table| table.part(rows))
    }
}
