//! Blocks that are read from the files and encoded here.

use std::sync::{Arc, OnceLock};

use lockstep_core::epoch::held_out;
use lockstep_core::run::spec::{OnBadRow, Reading};

use super::blocks::Source;
use super::catalog::Entry;
use crate::pass::Pass;
use crate::{DataError, Dataset, Encoder, Table, TargetUse};

/// Opens the files; they are not touched before a block of them is needed.
pub(crate) type Opener = Box<dyn Fn() -> Result<Arc<dyn Dataset>, DataError> + Send + Sync>;

/// Which rows of the files a dataset has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Held {
    /// All of them.
    All,
    /// Those that a share of the training rows leaves to train on.
    Trained {
        /// The run's.
        seed: u64,
        /// Of the rows that are held out.
        share: f64,
    },
    /// Those that are held out.
    Out {
        /// The run's.
        seed: u64,
        /// Of the rows that are held out.
        share: f64,
    },
}

impl Held {
    /// Whether a row of the files is one of the dataset.
    pub(crate) fn has(self, row: u64) -> bool {
        match self {
            Self::All => true,
            Self::Trained { seed, share } => !held_out(seed, row, share),
            Self::Out { seed, share } => held_out(seed, row, share),
        }
    }
}

/// Files, and how their rows become numbers.
pub(crate) struct Files {
    name: String,
    encoder: Arc<Encoder>,
    reading: Reading,
    on_bad_row: OnBadRow,
    held: Held,
    open: Opener,
    opened: OnceLock<Result<Arc<dyn Dataset>, String>>,
}

impl Files {
    pub(crate) fn new(
        name: String,
        encoder: Arc<Encoder>,
        (reading, on_bad_row): (Reading, OnBadRow),
        held: Held,
        open: Opener,
    ) -> Self {
        Self { name, encoder, reading, on_bad_row, held, open, opened: OnceLock::new() }
    }
}

impl Source for Files {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn read(&self, _: usize, entry: &Entry) -> Result<Option<Table>, String> {
        let opened = self.opened.get_or_init(|| (self.open)().map_err(|error| error.to_string()));
        let data = opened.as_ref().map_err(Clone::clone)?;
        let pass = Pass {
            data: &**data,
            blocks: &[entry.of],
            reading: &self.reading,
            on_bad_row: self.on_bad_row,
            done: &|_| (),
            wanted: &|row| self.held.has(row),
        };
        let encoded = self.encoder.encode(pass, TargetUse::Required);
        encoded.map(|(table, _)| Some(table)).map_err(|error| error.to_string())
    }
}
