//! `lockstep predict`: what a model makes of rows, as CSV or Parquet.

mod writer;

use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lockstep_core::evaluation::class_of;
use lockstep_core::ops::loss::probabilities;
use lockstep_core::run::spec::Loss;
use lockstep_data::TargetUse;

use crate::failure::Failure;
use crate::print;
use crate::rows::{Places, Trained};
use writer::{Prediction, Writer};

/// Arguments of `lockstep predict`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Where the predictions go, a row for each of DATA and in their order: Parquet if it ends in .parquet, else
    /// CSV; - for CSV to stdout
    #[arg(long, value_name = "FILE")]
    out: String,
}

/// Writes a header and a line a row: the prediction (a label, or a number), then the probability of
/// each class if the loss gives them; the same columns as Parquet if FILE ends in .parquet. DATA needs no
/// target.
///
/// # Errors
/// Bad model or data (78), and then there is no FILE; or the file cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let trained = arguments.places.open(TargetUse::Ignored)?;
    let out = Path::new(&arguments.out);
    let (labels, shown) = classes(&trained);
    if arguments.out == "-" {
        let writer = Writer::csv(BufWriter::new(io::stdout()), shown);
        return print::written(rows(&trained, writer)?);
    }
    // Under its name only once it is whole.
    let failed = |error: io::Error| Failure::failed(format!("{}: cannot be written: {error}", out.display()));
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(folder);
    let mut file = file.map_err(failed)?;
    let to = BufWriter::new(file.as_file_mut());
    let writer = match out.extension().is_some_and(|end| end.eq_ignore_ascii_case("parquet")) {
        true => Writer::parquet(to, labels.is_some(), shown),
        false => Writer::csv(to, shown),
    };
    rows(&trained, writer)?.map_err(failed)?;
    file.persist(out).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The model's labels if it has any, and those of them whose probabilities its loss gives.
fn classes(trained: &Trained) -> (Option<&[String]>, &[String]) {
    let labels = trained.file.encoder.labels();
    let loss = trained.file.model.loss();
    let shown = labels.filter(|_| matches!(loss, Loss::CrossEntropy | Loss::BinaryCrossEntropy));
    (labels, shown.unwrap_or_default())
}

/// The inner error is the writer's.
fn rows(trained: &Trained, writer: io::Result<Writer<impl Write + Send>>) -> Result<io::Result<()>, Failure> {
    let mut writer = match writer {
        Ok(writer) => writer,
        Err(error) => return Ok(Err(error)),
    };
    let file = &trained.file;
    let (loss, width) = (file.model.loss(), file.model.outputs().max(1));
    let (labels, shown) = classes(trained);
    let mut written = Ok(());
    let done = trained.each_piece(|workspace| {
        let outputs = workspace.output();
        let mut shares = vec![0.0f32; outputs.len()];
        probabilities(loss, outputs, width, &mut shares);
        for (row, shares) in outputs.chunks_exact(width).zip(shares.chunks_exact(width)) {
            let prediction = match labels {
                Some(labels) => {
                    Prediction::Label(labels.get(class_of(loss, row) as usize).map_or("", |name| name))
                }
                None => {
                    let learnt = row.first().copied().unwrap_or_default();
                    Prediction::Number(file.encoder.target.of_learnt(learnt))
                }
            };
            written = match (shown, shares) {
                ([], _) => writer.row(prediction, &[]),
                // Of two classes, one output is the probability of the second.
                (_, [second]) => writer.row(prediction, &[1.0 - second, *second]),
                (_, shares) => writer.row(prediction, shares),
            };
            if written.is_err() {
                // What the writer says is told below.
                return Err(Failure::failed(""));
            }
        }
        Ok(())
    });
    match written {
        Err(error) => Ok(Err(error)),
        Ok(()) => done.map(|_| writer.finish()),
    }
}
