//! Datasets from files, and the text of every error.

mod columns;
mod csv;
mod formats;
mod idx;
#[cfg(feature = "images")]
mod images;
mod reopen;
mod runs;
mod weights;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use lockstep_core::run::spec::{Data, Loss, OnBadRow, Reading, Source, TargetScale, Validation};
use tempfile::TempDir;

use crate::{
    Catalog, Code, DataError, Encoder, Goal, Inputs, Number, Rows, Skipped, Table, Taking, TargetUse, load,
};

/// A folder with files in it.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.0.path().join(name), bytes).unwrap();
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn load(&self, data: &Data, loss: Loss) -> Result<Prepared, String> {
        // Errors name files as they were looked for; a test knows them by name.
        let folder = format!("{}/", self.path().display());
        let loaded = load(data, Goal { loss, class_weights: None }, 7, self.path());
        loaded.map(Prepared::from).map_err(|error| error.to_string().replace(&folder, ""))
    }
}

/// A run's data, small enough to be held whole.
#[derive(Clone, Debug, PartialEq)]
struct Prepared {
    train: Table,
    validation: Option<Table>,
    encoder: Encoder,
    skipped: Skipped,
}

impl From<crate::Prepared> for Prepared {
    fn from(prepared: crate::Prepared) -> Self {
        let whole = |rows| match rows {
            Rows::Whole(table) => Arc::unwrap_or_clone(table),
            Rows::Blocks(_) => panic!("it does not fit in_memory"),
        };
        let Catalog { encoder, skipped, .. } = prepared.catalog;
        let (train, validation) = (whole(prepared.train), prepared.validation.map(whole));
        Self { train, validation, encoder, skipped }
    }
}

/// Encodes a file of a folder.
fn encode(encoder: &Encoder, folder: &Folder, name: &str, targets: TargetUse) -> Result<Table, DataError> {
    let (reading, on_bad_row) = (&Reading::default(), OnBadRow::Stop);
    let taking = Taking { reading, targets, on_bad_row };
    let mut encoded = encoder.encode_file(&file(name), folder.path(), taking)?;
    encoded.next_block().map(|table| table.expect("one block has all rows"))
}

/// The numbers of a standardized column.
fn scale(encoder: &Encoder, index: usize) -> &Number {
    let Inputs::Columns(features) = &encoder.inputs else { panic!() };
    let Code::Number(number) = &features[index].code else { panic!() };
    number
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn file(path: &str) -> Source {
    Source::File(path.into())
}

fn pair(images: &str, labels: &str) -> Source {
    Source::Idx { images: images.into(), labels: labels.into() }
}

pub(crate) fn table(train: &str, target: &str) -> Data {
    Data {
        train: file(train),
        validation: Validation::None,
        target: Some(target.into()),
        target_scale: TargetScale::None,
        weight: None,
        features: None,
        columns: BTreeMap::new(),
        reading: Reading::default(),
        on_bad_row: OnBadRow::Stop,
        in_memory: 1 << 28,
        shuffle_rows: 1 << 14,
    }
}

fn images(images: &str, labels: &str) -> Data {
    Data { train: pair(images, labels), target: None, ..table("", "") }
}
