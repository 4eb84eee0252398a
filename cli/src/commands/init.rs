//! `lockstep init`: a run file for data, with a reason beside every choice.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use lockstep_core::run::spec::{Column as Seen, Reading};
use lockstep_data::{Column, Kind, open};

use super::inspect::dataset::{Summary, summaries};
use crate::failure::Failure;
use crate::print::{self, count};
use crate::rows::source;

/// A whole number with more different values is a quantity rather than a class.
const MOST_CLASSES: usize = 20;
/// More categories than these are learnt as vectors: their places would be most of a row.
const MOST_PLACES: usize = 32;
/// Steps after which a small network has learnt what it will.
const STEPS: u64 = 3000;

/// Arguments of `lockstep init`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A file, folder or pattern of files
    #[arg(value_name = "DATA")]
    data: String,
    /// The column to predict
    #[arg(long, value_name = "COLUMN")]
    target: String,
    /// Where the run file goes; DATA is written into it relative to its folder
    #[arg(long, value_name = "FILE", default_value = "run.toml")]
    out: PathBuf,
}

/// Writes a run file; one that is there stays.
///
/// # Errors
/// Bad data or no such column (78), a file that is there (2), or it cannot be written (1).
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { data, target, out } = arguments;
    let rows = open(&source(data), &Reading::default(), Path::new("")).map_err(Failure::bad)?;
    let all: Vec<(&Column, Summary)> = rows.columns().iter().zip(summaries(&*rows)?.0).collect();
    let names = || rows.columns().iter().map(|column| column.name.as_str());
    let Some((_, goal)) = all.iter().find(|(column, _)| column.name == *target) else {
        let hint = lockstep_core::nearest(target, names())
            .map_or_else(|| names().collect::<Vec<_>>().join(", "), |name| format!("did you mean {name:?}?"));
        return Err(Failure::bad(format!("{data}, column {target:?}: there is no such column; {hint}")));
    };
    let task = Task::of(goal);
    if matches!(task, Task::Classes(0 | 1)) {
        return Err(Failure::bad(format!(
            "{data}, column {target:?}: found fewer than two different values, expected something to tell apart"
        )));
    }
    let features = all.iter().filter(|(column, _)| column.name != *target);
    let text = [
        head(data, &relative(data, out)?, target, rows.rows(), goal, task),
        columns(features, rows.rows()),
        model(task, rows.rows()),
        train(rows.rows()),
    ]
    .concat();
    let written = OpenOptions::new().write(true).create_new(true).open(out);
    let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::usage(format!("{} is there already: name another by --out", out.display()))
        }
        _ => Failure::failed(format!("{}: cannot be written: {error}", out.display())),
    })?;
    print::text(&format!("{0} is written; next: lockstep train {0}\n", out.display()))
}

#[derive(Clone, Copy)]
enum Task {
    Classes(usize),
    Number,
}

impl Task {
    fn of(goal: &Summary) -> Self {
        let whole = goal.values.keys().all(|value| value.parse::<i64>().is_ok());
        match goal.seen() {
            Seen::Numeric { .. } if !whole || goal.values.len() > MOST_CLASSES => Self::Number,
            _ => Self::Classes(goal.values.len()),
        }
    }
}

/// A path as the run file names it.
fn relative(data: &str, out: &Path) -> Result<String, Failure> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        None => Ok(data.into()),
        Some(_) => {
            let whole = std::path::absolute(data).map_err(Failure::failed)?;
            Ok(whole.to_string_lossy().into_owned())
        }
    }
}

fn quoted(text: &str) -> String {
    // JSON's escapes are TOML's.
    serde_json::Value::from(text).to_string()
}

fn head(data: &str, path: &str, target: &str, rows: u64, goal: &Summary, task: Task) -> String {
    let what = match task {
        Task::Classes(classes) => {
            let most = goal.values.values().max().copied().unwrap_or(0);
            let share = 100.0 * most as f64 / rows.max(1) as f64;
            format!("{classes} classes, of which the most frequent has {share:.1} % of the rows")
        }
        Task::Number => {
            let (least, greatest) = goal.range.unwrap_or_default();
            format!("a number from {least} to {greatest}")
        }
    };
    let name: String = target.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
    let name = if name.is_empty() { "run".into() } else { name };
    // So few rows are needed to tell good from bad, and the others to learn.
    let share = if rows > 50_000 { 0.1 } else { 0.2 };
    let scale = match task {
        // A network starts with outputs of about 0, give or take 1.
        Task::Number => {
            "# Learnt as (t - mean) / deviation; predictions and errors are in its own unit.\n\
                         target_scale = \"standardize\"\n"
        }
        Task::Classes(_) => "",
    };
    let data_comment = data.replace(['\n', '\r'], " ");
    format!(
        "# {data_comment}: {} rows; {what}.\n\nname = {}\nseed = 1\n\n[data]\ntrain = {}\n\
         # Held out by a hash of the row's number, so that the same rows stay held out when others follow.\n\
         validation = {share}\ntarget = {}\n{scale}",
        count(rows),
        quoted(&name),
        quoted(path),
        quoted(target),
    )
}

/// What each feature is taken for; the run file would infer most of it.
fn columns<'a>(features: impl Iterator<Item = &'a (&'a Column, Summary)>, rows: u64) -> String {
    let mut text = String::from("\n# How each column is seen; \"ignore\" leaves one out.\n[data.columns]\n");
    for (column, summary) in features {
        let (different, missing) = (summary.values.len(), summary.profile.missing);
        let (seen, why) = match summary.seen() {
            _ if matches!(column.kind, Kind::Bytes(_)) => continue,
            _ if different <= 1 && missing == 0 => ("\"ignore\"".into(), "always the same".into()),
            Seen::Categorical { .. } if different > 50 && !summary.repeats(rows) => {
                ("\"ignore\"".into(), "text that hardly repeats".into())
            }
            Seen::Categorical { .. } if different > MOST_PLACES => {
                let more = if summary.has_many() { " or more" } else { "" };
                (
                    format!("{{ categorical = {{ embedding = {} }} }}", vector(different)),
                    format!("{different}{more} different, a learnt vector for each"),
                )
            }
            Seen::Categorical { most, .. } => {
                (format!("{{ categorical = {{ most = {most} }} }}"), format!("{different} different"))
            }
            Seen::Numeric { .. } if missing > 0 => (
                "{ numeric = { missing = \"median\", indicator = true } }".into(),
                format!("{} missing", count(missing)),
            ),
            Seen::Numeric { .. } => ("\"numeric\"".into(), span(summary)),
            Seen::Boolean => ("\"boolean\"".into(), String::new()),
            Seen::DateTime { .. } => ("\"date_time\"".into(), String::new()),
            Seen::Ignore => continue,
        };
        let line = format!("{} = {seen}", quoted(&column.name));
        text += &if why.is_empty() { line + "\n" } else { format!("{line}  # {why}\n") };
    }
    text
}

/// How long the vectors of so many values are: about the root of their number.
fn vector(different: usize) -> usize {
    different.isqrt().next_power_of_two().clamp(8, 32)
}

fn span(summary: &Summary) -> String {
    summary.range.map(|(least, greatest)| format!("{least} to {greatest}")).unwrap_or_default()
}

fn model(task: Task, rows: u64) -> String {
    // Wider where there is more to learn from; dropout where there is little.
    let (widths, dropout): (&[u32], f64) = match rows {
        0..1000 => (&[16], 0.2),
        1000..10_000 => (&[64, 32], 0.2),
        10_000..100_000 => (&[128, 64], 0.1),
        _ => (&[256, 128], 0.05),
    };
    let (loss, outputs) = match task {
        Task::Classes(2) => ("binary_cross_entropy", 1),
        Task::Classes(classes) => ("cross_entropy", classes),
        Task::Number => ("mean_squared_error", 1),
    };
    let hidden: String = widths
        .iter()
        .map(|width| format!("  {{ linear = {width} }}, \"relu\", {{ dropout = {dropout} }},\n"))
        .collect();
    format!("\n[model]\nloss = {}\nlayers = [\n{hidden}  {{ linear = {outputs} }},\n]\n", quoted(loss))
}

fn train(rows: u64) -> String {
    let batch = (rows / 100).next_power_of_two().clamp(32, 512);
    let steps = rows.div_ceil(batch).max(1);
    let epochs = (STEPS / steps).clamp(10, 100);
    format!(
        "\n[train]\nepochs = {epochs}\nbatch_size = {batch}\noptimizer = {{ adamw = {{ lr = 3e-3 }} }}\n\
         schedule = {{ cosine = {{ warmup_steps = {} }} }}\n",
        (steps * epochs / 20).max(1)
    )
}
