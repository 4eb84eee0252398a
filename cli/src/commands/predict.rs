//! `lockstep predict`: what a model makes of rows, as CSV.

use std::fs::File;
use std::io::{self, BufWriter, Write};

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
/// Bad model or data (78), before anything is written; or the file cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let trained = arguments.places.open(TargetUse::Ignored)?;
    let lines = lines(&trained)?;
    let out = &arguments.out;
    if out == "-" {
        return print::written(io::stdout().write_all(&lines));
    }
    let written = File::create(out).and_then(|file| {
        let mut file = BufWriter::new(file);
        file.write_all(&lines)?;
        file.flush()
    });
    written.map_err(|error| Failure::failed(format!("{out}: cannot be written: {error}")))
}

fn lines(trained: &Trained) -> Result<Vec<u8>, Failure> {
    let file = &trained.file;
    let (loss, width) = (file.model.loss(), file.model.outputs().max(1));
    let labels = file.encoder.labels();
    let shown = labels.filter(|_| matches!(loss, Loss::CrossEntropy | Loss::BinaryCrossEntropy));
    let mut csv = csv::Writer::from_writer(Vec::new());
    let header = shown.unwrap_or_default().iter().map(|label| format!("probability_{label}"));
    csv.write_record(std::iter::once("prediction".to_owned()).chain(header)).map_err(Failure::failed)?;
    trained.each_piece(|workspace| {
        let outputs = workspace.output();
        let mut shares = vec![0.0f32; outputs.len()];
        probabilities(loss, outputs, width, &mut shares);
        for (row, shares) in outputs.chunks_exact(width).zip(shares.chunks_exact(width)) {
            let prediction = match labels {
                Some(labels) => labels.get(class_of(loss, row) as usize).cloned().unwrap_or_default(),
                None => row.first().map(|y| digits(&file.encoder.target.of_learnt(*y))).unwrap_or_default(),
            };
            let shares = if shown.is_some() { of_classes(shares) } else { Vec::new() };
            csv.write_record(std::iter::once(prediction).chain(shares)).map_err(Failure::failed)?;
        }
        Ok(())
    })?;
    csv.into_inner().map_err(|error| Failure::failed(error.error()))
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
