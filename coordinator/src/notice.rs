//! What happened, in plain words for the log.

use std::fmt;

use lockstep_core::tree::Node;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A worker takes part.
    Joined {
        /// Its name.
        worker: String,
        /// Its host.
        host: String,
        /// Its compute threads.
        threads: u32,
        /// From this step on.
        step: u64,
    },
    /// A worker is gone.
    Lost {
        /// Its name.
        worker: String,
        /// What was noticed.
        why: String,
        /// In this step.
        step: u64,
        /// What it had not finished.
        open: Open,
    },
    /// A worker was not taken.
    Refused {
        /// Its name.
        worker: String,
        /// Why.
        text: String,
    },
    /// A worker computes other bits and was taken all the same.
    Relaxed {
        /// Its name.
        worker: String,
        /// What differs.
        text: String,
    },
    /// Nobody is here to compute.
    Waiting {
        /// The step that waits.
        step: u64,
        /// Since when.
        seconds: u64,
    },
    /// A worker computed numbers that are not finite, where another's are.
    Doubtful {
        /// Its name.
        worker: String,
        /// In this step.
        step: u64,
        /// Of this node.
        node: Node,
    },
    /// A step was left out, because its numbers are not finite.
    Skipped {
        /// The step.
        step: u64,
        /// What is not finite.
        what: String,
    },
    /// A checkpoint could not be written.
    NotSaved {
        /// Its step.
        step: u64,
        /// What went wrong.
        why: String,
    },
    /// A signal came.
    Stopping {
        /// The step at hand.
        step: u64,
    },
}

/// What a lost worker had not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Open {
    /// It had nothing to do, or had done it.
    Nothing,
    /// Nodes of a step.
    Nodes(Vec<Node>),
    /// So many pieces of an evaluation.
    Pieces(usize),
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(f, "it left nothing open"),
            Self::Nodes(nodes) => {
                let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
                write!(f, "its shards {} are computed again in the same step", names.join(", "))
            }
            Self::Pieces(count) => write!(f, "its {count} open pieces of the evaluation go to others"),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { worker, host, threads, step } => {
                let threads = if *threads == 1 { "1 thread".into() } else { format!("{threads} threads") };
                write!(f, "worker {worker} on {host} joined with {threads} in step {step}")
            }
            Self::Lost { worker, why, step, open } => {
                write!(f, "worker {worker} is gone ({why}) in step {step}; {open}")
            }
            Self::Refused { worker, text } => write!(f, "worker {worker} was refused: {text}"),
            Self::Relaxed { worker, text } => {
                write!(f, "worker {worker} takes part although it computes other bits: {text}")
            }
            Self::Waiting { step, seconds: 0 } => {
                write!(f, "waiting for a worker; the run goes on at step {step} when one joins")
            }
            Self::Waiting { step, seconds } => {
                write!(f, "still waiting for a worker, for {seconds} s; the run goes on at step {step}")
            }
            Self::Doubtful { worker, step, node } => write!(
                f,
                "worker {worker} computed numbers that are not finite for shards {node} in step {step}, where \
                 another worker's are finite: check that machine's memory and processor"
            ),
            Self::Skipped { step, what } => write!(f, "step {step} was left out: {what}"),
            Self::NotSaved { step, why } => {
                write!(f, "the checkpoint of step {step} could not be written: {why}")
            }
            Self::Stopping { step } => write!(f, "stopping in step {step}: writing a checkpoint"),
        }
    }
}
