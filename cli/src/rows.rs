//! Rows for a trained model: where they are, and what the model gives on them.

use std::path::Path;

use lockstep_coordinator::store::{ModelFile, open_best, open_model};
use lockstep_core::metrics::Sums;
use lockstep_core::model::{Flat, Labels, Microbatch, Workspace};
use lockstep_core::run::spec::{OnBadRow, Reading, Source};
use lockstep_core::{blas, evaluation};
use lockstep_data::{Table, Taking, TargetType, TargetUse, TargetsMut};

use crate::environment;
use crate::failure::Failure;
use crate::print;

/// A model and rows as it sees them.
pub struct Trained {
    pub file: ModelFile,
    pub table: Table,
}

/// Where a command's MODEL and DATA are.
#[derive(Debug, clap::Args)]
pub struct Places {
    /// A run directory, a checkpoint's directory or a model.safetensors
    #[arg(value_name = "MODEL")]
    pub model: std::path::PathBuf,
    /// A file, folder or pattern of files in any format that a run file's `data` takes, columns in any
    /// order; or IDX files: IMAGES,LABELS
    #[arg(value_name = "DATA")]
    pub data: String,
    /// Take the best model of a run directory (by its checkpoint.best), not the last
    #[arg(long)]
    pub best: bool,
}

impl Places {
    /// Opens both, under the kernel that the model was trained with if this machine has it.
    ///
    /// # Errors
    /// There is no such model or data, or they do not fit (78).
    pub fn open(&self, targets: TargetUse) -> Result<Trained, Failure> {
        let file = if self.best { open_best(&self.model)? } else { open_model(&self.model)? };
        let kernel = &file.run.cluster.kernel;
        if environment::pin(kernel).is_err() {
            let here = blas::kernel();
            print::note(format!(
                "note: the model was trained under the BLAS kernel {kernel}, this is {here}: last digits may differ"
            ));
        }
        let data = &file.run.data;
        // A training run's format is not that of every file to come, and a prediction stands for its row.
        let reading = &Reading { format: None, ..data.reading.clone() };
        let on_bad_row = match targets {
            TargetUse::Required => data.on_bad_row,
            TargetUse::Ignored => OnBadRow::Stop,
        };
        let taking = Taking { reading, targets, on_bad_row };
        let encoded = file.encoder.encode_file(&source(&self.data), Path::new(""), taking);
        let (table, skipped) = encoded.map_err(Failure::bad)?;
        if skipped > 0 {
            print::note(format!("left out bad rows: {skipped}"));
        }
        Ok(Trained { file, table })
    }
}

/// Two names with a comma between them are an IDX pair, unless a file has that name.
pub fn source(data: &str) -> Source {
    match data.split_once(',') {
        Some((images, labels)) if !Path::new(data).exists() => {
            Source::Idx { images: images.into(), labels: labels.into() }
        }
        _ => Source::File(data.into()),
    }
}

impl Trained {
    /// Runs the model on all rows, piece by piece as a cluster does; `take` sees each piece's outputs
    /// and labels. The sums over all pieces.
    ///
    /// # Errors
    /// Only those of `take`, and rows that do not fit the model.
    pub fn each_piece(
        &self,
        mut take: impl FnMut(&Workspace<f32>) -> Result<(), Failure>,
    ) -> Result<Sums, Failure> {
        let Self { file, table } = self;
        let mut workspace = Workspace::new(&file.model);
        let mut total = Sums::default();
        for rows in evaluation::pieces(table.rows()) {
            let mut piece = gathered(table, &rows.collect::<Vec<_>>())?;
            total.add(&evaluation::piece(
                &file.model,
                &Flat::new(&file.model, &file.weights),
                &mut workspace,
                &mut piece,
            ));
            take(&workspace)?;
        }
        Ok(total)
    }
}

fn gathered(table: &Table, rows: &[u64]) -> Result<Microbatch<f32>, Failure> {
    let mut values = vec![0.0; rows.len() * table.width()];
    let mut labels = match table.shape().targets {
        TargetType::Classes(_) => Labels::Classes(vec![0; rows.len()]),
        TargetType::Values(width) => Labels::Values(vec![0.0; rows.len() * width]),
        TargetType::Absent => Labels::Classes(Vec::new()),
    };
    let targets = match (&mut labels, table.shape().targets) {
        (_, TargetType::Absent) => TargetsMut::Ignored,
        (Labels::Classes(classes), _) => TargetsMut::Classes(classes),
        (Labels::Values(values), _) => TargetsMut::Values(values),
    };
    table.gather(rows, &mut values, targets).map_err(Failure::failed)?;
    let mut weights = Vec::new();
    table.gather_weights(rows, &mut weights).map_err(Failure::failed)?;
    Ok(Microbatch { shard: 0, rows: rows.len(), values, labels, weights })
}
