//! A trained model, alone or in a checkpoint.

use std::path::Path;

use lockstep_coordinator::progress::Progress;
use lockstep_coordinator::store::{ModelFile, kind_of, open_checkpoint, open_model};
use lockstep_core::metrics::Report;
use lockstep_data::Inputs;
use serde_json::{Value, json};

use super::Description;
use crate::failure::Failure;
use crate::print::{count, list, size, table};
use crate::show::words;

/// # Errors
/// It is damaged.
pub(super) fn file(path: &Path) -> Result<Description, Failure> {
    let model = open_model(path)?;
    let mut json = json(&model);
    json["kind"] = "model".into();
    Ok(Description { json, text: text(path, &model, Vec::new()) })
}

/// A checkpoint, all of it read and checked.
///
/// # Errors
/// It is damaged.
pub(super) fn checkpoint(path: &Path) -> Result<Description, Failure> {
    let checkpoint = open_checkpoint(path)?;
    let model = open_model(path)?;
    let Progress { samples, last_epoch_loss, evaluation, .. } = checkpoint.progress;
    let report: Option<Report> =
        evaluation.and_then(|evaluation| evaluation.sums.report(kind_of(&model.encoder)));
    let moments: Vec<&str> = checkpoint.optimizer.state().map(|(name, _)| name).collect();
    let mut json = json(&model);
    json["kind"] = "checkpoint".into();
    json["samples"] = samples.into();
    json["optimizer"] = moments.clone().into();
    json["train"] = json!({ "loss": last_epoch_loss });
    json["validation"] = json!(report);
    let mut facts = vec![("samples", count(samples))];
    if let Some(loss) = last_epoch_loss {
        facts.push(("train", format!("loss {loss:.4}")));
    }
    if let Some(report) = &report {
        facts.push(("validation", words(report)));
    }
    if !moments.is_empty() {
        facts.push(("optimizer", moments.join(", ")));
    }
    Ok(Description { json, text: text(path, &model, facts) })
}

fn json(model: &ModelFile) -> Value {
    let tensors = model.model.layout().tensors().iter();
    json!({
        "name": model.run.name,
        "step": model.step,
        "digest": model.digest,
        "loss": model.run.model.loss.name(),
        "parameters": model.model.layout().trained(),
        "statistics": model.weights.len() - model.model.layout().trained(),
        "encoder": model.encoder,
        "tensors": tensors.map(|tensor| json!({ "name": tensor.name, "shape": tensor.shape })).collect::<Vec<_>>(),
    })
}

fn text(path: &Path, model: &ModelFile, more: Vec<(&'static str, String)>) -> String {
    let inputs = match &model.encoder.inputs {
        Inputs::Columns(columns) => {
            format!("{} columns as {} numbers", columns.len(), model.encoder.sample().iter().sum::<usize>())
        }
        Inputs::Bytes { column, sample } => format!("{column}, bytes {sample:?}"),
    };
    let target = match model.encoder.labels() {
        Some(labels) => format!("{}, one of {} classes", model.encoder.target.column(), labels.len()),
        None => format!("{}, a number", model.encoder.target.column()),
    };
    let mut facts = vec![
        ("model", path.display().to_string()),
        ("run", model.run.name.clone()),
        ("step", count(model.step)),
        ("digest", model.digest.to_string()),
        ("takes", inputs),
        ("predicts", target),
        ("loss", model.run.model.loss.name().into()),
        ("parameters", size(model.model.layout())),
    ];
    facts.extend(more);
    let header = ["tensor", "shape", "values"].map(String::from).to_vec();
    let lines = model.model.layout().tensors().iter().map(|tensor| {
        vec![tensor.name.clone(), format!("{:?}", tensor.shape), count(tensor.range.len() as u64)]
    });
    format!("{}\n{}", list(&facts), table(&std::iter::once(header).chain(lines).collect::<Vec<_>>()))
}
