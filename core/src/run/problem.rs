//! What is wrong with a run file.

use std::fmt;

/// Where a value was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the run file, counted from 1.
    Line(usize),
    /// On the command line, by `--set`.
    Override,
}

/// One thing that is wrong. Its text names the line, the key, what was found and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// Where; unknown if what is missing was never typed.
    pub place: Option<Place>,
    /// Dotted, such as `train.optimizer.adamw.lr`; empty for the file as a whole.
    pub key: String,
    /// What is wrong there.
    pub what: Wrong,
}

/// What is wrong at a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The text is not TOML.
    #[error("this is not TOML: {0}")]
    Syntax(String),
    /// An override is not `key=value`.
    #[error("--set {0:?}: expected key=value, such as train.epochs=5")]
    Override(String),
    /// An override goes through or past something that holds no keys.
    #[error("cannot be set: {0}")]
    Unreachable(String),
    /// There is no such key here.
    #[error("unknown key; {}", meant(.nearest, .known))]
    UnknownKey {
        /// The known key most like it.
        nearest: Option<String>,
        /// All keys that may stand here.
        known: Vec<String>,
    },
    /// There is no such choice here.
    #[error("found {found:?}; {}", meant(.nearest, .known))]
    UnknownName {
        /// What was typed.
        found: String,
        /// The known name most like it.
        nearest: Option<String>,
        /// All names that may stand here.
        known: Vec<String>,
    },
    /// A key without a default is not there.
    #[error("missing; expected {0}")]
    Missing(String),
    /// A value of the wrong type or outside its range.
    #[error("found {found}, expected {expected}")]
    Value {
        /// What was typed.
        found: String,
        /// What may stand here.
        expected: String,
    },
    /// A metric of validation rows where there are none.
    #[error("there are no validation rows to compute it on; expected data.validation beside it")]
    NoValidation,
    /// A batch cannot give every shard a row.
    #[error(
        "found {batch_size}, but cluster.shards is {shards} and every shard takes at least one row of each \
         step; expected {shards} or more, or fewer shards"
    )]
    BatchBelowShards {
        /// Rows in one step.
        batch_size: u64,
        /// Parts of an epoch's rows.
        shards: u32,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(Place::Line(line)) => write!(f, "line {line}, ")?,
            Some(Place::Override) => f.write_str("--set ")?,
            None => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        self.what.fmt(f)
    }
}

fn meant(nearest: &Option<String>, known: &[String]) -> String {
    match nearest {
        Some(name) => format!("did you mean {name:?}?"),
        None if known.is_empty() => "no keys may stand here".into(),
        None => format!("expected one of {}", known.join(", ")),
    }
}
