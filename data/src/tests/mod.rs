//! Datasets from files, and the text of every error.

mod columns;
mod csv;
mod formats;
mod idx;
mod runs;
mod weights;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use lockstep_core::run::spec::{Data, Loss, OnBadRow, Reading, Source, TargetScale, Validation};
use tempfile::TempDir;

use crate::{Code, DataError, Encoder, Goal, Inputs, Number, Prepared, Table, Taking, TargetUse, load};

/// A folder with files in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.0.path().join(name), bytes).unwrap();
        self
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn load(&self, data: &Data, loss: Loss) -> Result<Prepared, String> {
        // Errors name files as they were looked for; a test knows them by name.
        let folder = format!("{}/", self.path().display());
        load(data, Goal { loss, class_weights: None }, 7, self.path())
            .map_err(|error| error.to_string().replace(&folder, ""))
    }
}

/// Encodes a file of a folder.
fn encode(encoder: &Encoder, folder: &Folder, name: &str, targets: TargetUse) -> Result<Table, DataError> {
    let (reading, on_bad_row) = (&Reading::default(), OnBadRow::Stop);
    let taking = Taking { reading, targets, on_bad_row };
    encoder.encode_file(&file(name), folder.path(), taking).map(|(table, _)| table)
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

fn table(train: &str, target: &str) -> Data {
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
