//! Rows for a trained model: where they are, and what the model gives on them.

use std::ops::Range;
use std::path::Path;

use lockstep_coordinator::store::{ModelFile, open_best, open_model};
use lockstep_core::metrics::Sums;
use lockstep_core::model::{Flat, Labels, Microbatch, Workspace};
use lockstep_core::numerics::PIECE_ROWS;
use lockstep_core::run::spec::{OnBadRow, Reading, Source};
use lockstep_core::{blas, evaluation};
use lockstep_data::{GatherError, Table, Taking, TargetType, TargetUse, TargetsMut};

use crate::environment;
use crate::failure::Failure;
use crate::print;

/// A model, and where rows for it are.
pub struct Trained {
    pub file: ModelFile,
    source: Source,
    reading: Reading,
    targets: TargetUse,
    on_bad_row: OnBadRow,
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
        let reading = Reading { format: None, ..data.reading.clone() };
        let on_bad_row = match targets {
            TargetUse::Required => data.on_bad_row,
            TargetUse::Ignored => OnBadRow::Stop,
        };
        Ok(Trained { source: source(&self.data), file, reading, targets, on_bad_row })
    }
}

/// Two names with a comma between them are an IDX pair, unless a file has that name. A comma in braces is one
/// of a pattern.
pub fn source(data: &str) -> Source {
    let mut depth = 0i64;
    let comma = data.char_indices().find(|(_, c)| {
        depth += i64::from(*c == '{') - i64::from(*c == '}');
        *c == ',' && depth <= 0
    });
    let pair = comma.and_then(|(at, _)| Some((data.get(..at)?, data.get(at + 1..)?)));
    match pair {
        Some((images, labels)) if !Path::new(data).exists() => {
            Source::Idx { images: images.into(), labels: labels.into() }
        }
        _ => Source::File(data.into()),
    }
}

impl Trained {
    /// Runs the model on all rows, piece by piece as a cluster does; `take` sees each piece's outputs
    /// and labels. The sums over all pieces. Rows are read block by block: they may be more than memory holds.
    ///
    /// # Errors
    /// Bad data (78), those of `take`, and rows that do not fit the model.
    pub fn each_piece(
        &self,
        mut take: impl FnMut(&Workspace<f32>) -> Result<(), Failure>,
    ) -> Result<Sums, Failure> {
        let Self { file, source, reading, targets, on_bad_row } = self;
        let taking = Taking { reading, targets: *targets, on_bad_row: *on_bad_row };
        let encoded = file.encoder.encode_file(source, Path::new(""), taking);
        let mut encoded = encoded.map_err(Failure::bad)?;
        let mut workspace = Workspace::new(&file.model);
        let (mut total, mut piece) = (Sums::default(), empty());
        let mut compute = |piece: &mut Microbatch<f32>| {
            let weights = Flat::new(&file.model, &file.weights);
            total.add(&evaluation::piece(&file.model, &weights, &mut workspace, piece));
            *piece = empty();
            take(&workspace)
        };
        while let Some(table) = encoded.next_block().map_err(Failure::bad)? {
            let mut at = 0;
            while at < table.rows() {
                let end = table.rows().min(at + (PIECE_ROWS - piece.rows) as u64);
                append(&table, at..end, &mut piece).map_err(Failure::failed)?;
                at = end;
                if piece.rows == PIECE_ROWS {
                    compute(&mut piece)?;
                }
            }
        }
        if piece.rows > 0 {
            compute(&mut piece)?;
        }
        if encoded.skipped() > 0 {
            print::note(format!("left out bad rows: {}", encoded.skipped()));
        }
        Ok(total)
    }
}

fn empty() -> Microbatch<f32> {
    let labels = Labels::Classes(Vec::new());
    Microbatch { shard: 0, rows: 0, values: Vec::new(), labels, weights: Vec::new() }
}

/// Rows of a block, after those of the piece.
fn append(table: &Table, rows: Range<u64>, piece: &mut Microbatch<f32>) -> Result<(), GatherError> {
    let rows: Vec<u64> = rows.collect();
    let (before, width) = (piece.rows, table.width());
    piece.rows += rows.len();
    piece.values.resize(piece.rows * width, 0.0);
    let x = piece.values.get_mut(before * width..).unwrap_or_default();
    let targets = match table.shape().targets {
        TargetType::Absent => TargetsMut::Ignored,
        TargetType::Classes(_) => {
            let Labels::Classes(classes) = &mut piece.labels else { return Ok(()) };
            classes.resize(piece.rows, 0);
            TargetsMut::Classes(classes.get_mut(before..).unwrap_or_default())
        }
        TargetType::Values(of) => {
            if before == 0 {
                piece.labels = Labels::Values(Vec::new());
            }
            let Labels::Values(values) = &mut piece.labels else { return Ok(()) };
            values.resize(piece.rows * of, 0.0);
            TargetsMut::Values(values.get_mut(before * of..).unwrap_or_default())
        }
    };
    table.gather(&rows, x, targets)?;
    let mut weights = Vec::new();
    table.gather_weights(&rows, &mut weights)?;
    piece.weights.extend(weights);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_and_patterns() {
        let file = |data: &str| Source::File(data.into());
        let pair = |images: &str, labels: &str| Source::Idx { images: images.into(), labels: labels.into() };
        assert_eq!(source("x.idx,y.idx"), pair("x.idx", "y.idx"));
        assert_eq!(source("s3://b/{a,b}.csv"), file("s3://b/{a,b}.csv"));
        assert_eq!(source("{a,{b,c}}.csv"), file("{a,{b,c}}.csv"));
        assert_eq!(source("{a}/x.idx,y.idx"), pair("{a}/x.idx", "y.idx"));
        assert_eq!(source("a.csv"), file("a.csv"));
    }
}
