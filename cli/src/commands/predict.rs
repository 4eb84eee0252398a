//! `lockstep predict`: what a model makes of rows, as CSV.

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

/// Arguments of `lockstep predict`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Where the predictions go, a line a row in the order of DATA; - for stdout
    #[arg(long, value_name = "FILE")]
    out: String,
}

/// Writes a header and a line a row: the prediction (a label, or a number), then the probability of
/// each class if the loss gives them. DATA needs no target.
///
/// # Errors
/// Bad model or data (78), and then there is no FILE; or the file cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let trained = arguments.places.open(TargetUse::Ignored)?;
    let out = Path::new(&arguments.out);
    if arguments.out == "-" {
        return print::written(lines(&trained, BufWriter::new(io::stdout()))?);
    }
    // Under its name only once it is whole.
    let failed = |error: io::Error| Failure::failed(format!("{}: cannot be written: {error}", out.display()));
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(folder);
    let mut file = file.map_err(failed)?;
    lines(&trained, BufWriter::new(file.as_file_mut()))?.map_err(failed)?;
    file.persist(out).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The inner error is the writer's.
fn lines(trained: &Trained, out: impl Write) -> Result<io::Result<()>, Failure> {
    let file = &trained.file;
    let (loss, width) = (file.model.loss(), file.model.outputs().max(1));
    let labels = file.encoder.labels();
    let shown = labels.filter(|_| matches!(loss, Loss::CrossEntropy | Loss::BinaryCrossEntropy));
    let mut csv = csv::Writer::from_writer(out);
    let header = shown.unwrap_or_default().iter().map(|label| format!("probability_{label}"));
    let mut written = csv.write_record(std::iter::once("prediction".to_owned()).chain(header));
    let done = trained.each_piece(|workspace| {
        let outputs = workspace.output();
        let mut shares = vec![0.0f32; outputs.len()];
        probabilities(loss, outputs, width, &mut shares);
        for (row, shares) in outputs.chunks_exact(width).zip(shares.chunks_exact(width)) {
            let prediction = match labels {
                Some(labels) => labels.get(class_of(loss, row) as usize).cloned().unwrap_or_default(),
                None => row.first().map(|y| digits(&file.encoder.target.of_learnt(*y))).unwrap_or_default(),
            };
            let shares = if shown.is_some() { of_classes(shares) } else { Vec::new() };
            if written.is_ok() {
                written = csv.write_record(std::iter::once(prediction).chain(shares));
            }
        }
        // What the writer says is told below.
        if written.is_err() { Err(Failure::failed("")) } else { Ok(()) }
    });
    match written {
        Err(error) => Ok(Err(io::Error::from(error))),
        Ok(()) => done.map(|_| csv.flush()),
    }
}

/// Of two classes, one output is the probability of the second.
fn of_classes(shares: &[f32]) -> Vec<String> {
    match shares {
        [second] => [1.0 - second, *second].iter().map(digits).collect(),
        shares => shares.iter().map(digits).collect(),
    }
}

/// The shortest digits that read back as the same f32, with an exponent where that is shorter.
fn digits(number: &f32) -> String {
    format!("{number:?}")
}
