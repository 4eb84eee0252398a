//! What a verification found.

use serde::Serialize;

/// One thing that is not what it was, or not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What differs.
    pub what: What,
    /// The step, if it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// For people; names the file.
    pub text: String,
}

/// What can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The resolved run file.
    RunFile,
    /// Training or validation rows.
    Data,
    /// `env.json`
    Environment,
    /// `digests.jsonl`
    Digests,
    /// A stored checkpoint.
    Checkpoint,
    /// The final or the best model.
    Model,
    /// `results.json`
    Results,
    /// A recorded digest that the steps do not give.
    Steps,
}

impl Finding {
    /// Of no step.
    pub fn new(what: What, text: impl ToString) -> Self {
        Self { what, step: None, text: text.to_string() }
    }

    /// Of a step.
    pub fn at(what: What, step: u64, text: impl ToString) -> Self {
        Self { what, step: Some(step), text: text.to_string() }
    }
}
