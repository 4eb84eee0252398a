//! `lockstep inspect`: what a run file, dataset, model, checkpoint or run directory is.

pub mod dataset;
mod directory;
mod model;
mod prediction;
mod run_file;

use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;
use crate::print;
use crate::rows::source;

/// Arguments of `lockstep inspect`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A run file, a file, folder or pattern of data, IDX files (IMAGES or IMAGES,LABELS), a
    /// model.safetensors, a checkpoint's directory or a run directory
    #[arg(value_name = "PATH")]
    path: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: prediction::Cluster,
}

/// What something is, for programs and for people.
struct Description {
    json: Value,
    text: String,
}

/// Prints what a path is.
///
/// # Errors
/// There is nothing, or it is damaged (78).
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { path, json, cluster } = arguments;
    let Description { json: value, text } = described(path, *cluster)?;
    if *json { print::json(&value) } else { print::text(&text) }
}

fn described(name: &str, cluster: prediction::Cluster) -> Result<Description, Failure> {
    let path = Path::new(name);
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if path.is_dir() {
        return if path.join("manifest.json").is_file() {
            model::checkpoint(path)
        } else if path.join("run.toml").is_file() {
            directory::describe(path)
        } else {
            // Of a folder that is neither, the more likely thing is said to be missing.
            dataset::describe(&source(name)).or_else(|_| directory::describe(path))
        };
    }
    match extension {
        "toml" => run_file::describe(path, cluster),
        "safetensors" => model::file(path),
        _ => dataset::describe(&source(name)),
    }
}
