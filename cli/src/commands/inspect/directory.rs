//! A run directory: how far its run is, and what it left.

use std::fs;
use std::path::Path;

use lockstep_coordinator::store::{checkpoints, open_checkpoint, open_model};
use serde_json::{Value, json};

use super::Description;
use crate::failure::Failure;
use crate::print::list;

/// # Errors
/// It holds no run.
pub(super) fn describe(path: &Path) -> Result<Description, Failure> {
    let run_file = path.join("run.toml");
    let text = fs::read_to_string(&run_file).map_err(|error| {
        Failure::bad(format!("{}: not a run directory or checkpoint: run.toml: {error}", path.display()))
    })?;
    let run = lockstep_core::run::parse(&text, &[])
        .map_err(|problem| Failure::bad(format!("{}: {problem}", run_file.display())))?;
    let results = parsed(fs::read_to_string(path.join("results.json")).ok());
    let metrics = fs::read_to_string(path.join("metrics.jsonl")).unwrap_or_default();
    let last = parsed(metrics.lines().rfind(|line| line.ends_with('}')).map(Into::into));
    let found: Vec<(u64, Result<String, String>)> = checkpoints(path)?
        .into_iter()
        .map(|(step, folder)| match open_checkpoint(&folder) {
            Ok(checkpoint) => (step, Ok(checkpoint.digest.to_string())),
            Err(error) => (step, Err(error.to_string())),
        })
        .collect();
    let checkpoint_json = |(step, state): &(u64, Result<String, String>)| match state {
        Ok(digest) => json!({ "step": step, "digest": digest }),
        Err(error) => json!({ "step": step, "damaged": error }),
    };
    let json = json!({
        "kind": "run directory",
        "name": run.name,
        "finished": results.is_some(),
        "results": results,
        "last_metrics": last,
        "checkpoints": found.iter().map(checkpoint_json).collect::<Vec<_>>(),
    });
    let state = match (&results, &last) {
        (Some(_), _) => "finished".to_owned(),
        (None, Some(line)) => format!("not finished; the last line of metrics is of step {}", line["step"]),
        (None, None) => "not finished; no step is done".to_owned(),
    };
    let mut facts = vec![("run", format!("{} ({})", run.name, path.display())), ("state", state)];
    let fields =
        ["digest", "steps", "samples", "train", "validation", "samples_per_second", "workers", "numerics"];
    if let Some(results) = &results {
        facts.extend(fields.iter().filter_map(|name| Some((*name, plain(results.get(*name)?)))));
    }
    if let Ok(model) = open_model(path) {
        facts.push(("model", format!("of step {}", model.step)));
    }
    let checkpoints = found.into_iter().map(|(step, state)| {
        let state = state.unwrap_or_else(|error| format!("damaged: {error}"));
        format!("checkpoint-{step}  {state}\n")
    });
    let text = format!("{}\n{}", list(&facts), checkpoints.collect::<String>());
    Ok(Description { json, text })
}

fn parsed(text: Option<String>) -> Option<Value> {
    serde_json::from_str(&text?).ok()
}

/// A value without the marks of JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name} {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        value => value.to_string(),
    }
}
