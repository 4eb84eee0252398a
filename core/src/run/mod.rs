//! The run file: what was typed, and what is meant.
//!
//! ```text
//! text, --set k=v ──▶ typed (values and places) ──▶ one reader a section ──▶ spec::Run ──▶ to_toml
//! ```
//!
//! [`spec`] holds what is meant, every default filled in. Whatever is wrong is one [`Problem`].

mod checkpoint;
mod cluster;
mod columns;
mod data;
mod field;
mod lines;
mod model;
mod pictures;
mod problem;
#[cfg(test)]
mod roundtrip;
pub mod spec;
#[cfg(test)]
mod tests;
mod train;
mod typed;

pub use cluster::default_kernel;
pub use lines::{differences, meaning, to_toml};
pub use problem::{Place, Problem, Wrong};

use field::{Field, Section};
use spec::Run;

/// Reads a run file and the overrides of its values, each `train.epochs=5`.
///
/// # Errors
/// The first thing that is wrong: not TOML, an unknown key or name, a missing key, a value of the
/// wrong type or out of range, or values that contradict each other.
pub fn parse(text: &str, overrides: &[String]) -> Result<Run, Problem> {
    let mut typed = typed::read(text)?;
    for text in overrides {
        typed::set(&mut typed, text)?;
    }
    let root = Field { key: String::new(), typed };
    let root = Section::new(&root, &["name", "seed", "data", "model", "train", "cluster", "checkpoint"])?;
    let cluster = cluster::read(&root)?;
    let model = model::read(&root)?;
    let data = data::read(&root, model.loss)?;
    let validates = data.validation != spec::Validation::None;
    Ok(Run {
        name: root.get("name").map_or(Ok("run".into()), |field| name(&field))?,
        seed: root.whole("seed", 0, 0, u64::MAX)?,
        data,
        train: train::read(&root, cluster.shards, validates, model.loss)?,
        model,
        cluster,
        checkpoint: checkpoint::read(&root, validates)?,
    })
}

/// A name is a folder's name on every system.
fn name(field: &Field) -> Result<String, Problem> {
    const EXPECTED: &str = "1 to 100 letters, digits, -, _ and ., not starting with .";
    let text = field.text(EXPECTED)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > 100 || text.starts_with('.') || !text.chars().all(fits) {
        return Err(field.unexpected(EXPECTED));
    }
    Ok(text.into())
}
