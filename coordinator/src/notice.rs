//! What happened, in plain words for the log.

use std::fmt;

use lockstep_core::tree::Node;

use crate::progress::Wrong;

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
    /// A connection was not let in, or a call on one.
    NotLetIn {
        /// `connection` or `call`.
        what: &'static str,
        /// The address it came from.
        from: String,
        /// Why.
        why: String,
        /// So many for this reason since the last such line.
        times: u64,
    },
    /// Something happened at the door that people should know.
    Door(String),
    /// An admin asks the run, or one worker, to end in order.
    Asked {
        /// The admin.
        by: String,
        /// The worker's name.
        worker: Option<String>,
        /// In this step.
        step: u64,
    },
    /// A worker computes other bits and was taken all the same.
    Relaxed {
        /// Its name.
        worker: String,
        /// What differs.
        text: String,
    },
    /// A worker went, as it wanted to.
    Left {
        /// Its name.
        worker: String,
        /// Before this step, or in it.
        step: u64,
    },
    /// What a worker has open is computed by another too.
    Late {
        /// Its name.
        worker: String,
        /// In this step.
        step: u64,
    },
    /// The run waits.
    Waiting {
        /// The step that waits.
        step: u64,
        /// For what.
        what: Awaited,
        /// For so long.
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
    /// Workers computed different numbers for the same.
    Differs {
        /// Their names.
        workers: Vec<String>,
        /// In this step.
        step: u64,
        /// Of this node.
        node: Node,
    },
    /// A worker is put out for good.
    Wrong(Wrong),
    /// Nodes are to be computed twice, and there is one worker.
    NoAudit,
    /// A step was left out.
    Skipped {
        /// The step.
        step: u64,
        /// Its numbers are not finite, or its loss is too high.
        what: String,
    },
    /// A checkpoint could not be written.
    NotSaved {
        /// Its step.
        step: u64,
        /// What went wrong.
        why: String,
    },
    /// A signal came, or an admin asked for it.
    Stopping {
        /// The step at hand.
        step: u64,
    },
}

impl Notice {
    /// The worker that it is about, and the step that it was in.
    pub fn about(&self) -> (Option<&str>, Option<u64>) {
        match self {
            Self::Joined { worker, step, .. }
            | Self::Lost { worker, step, .. }
            | Self::Left { worker, step }
            | Self::Late { worker, step }
            | Self::Doubtful { worker, step, .. } => (Some(worker), Some(*step)),
            Self::Wrong(Wrong { worker, step, .. }) => (Some(worker), Some(*step)),
            Self::Refused { worker, .. } | Self::Relaxed { worker, .. } => (Some(worker), None),
            Self::Waiting { step, .. }
            | Self::Differs { step, .. }
            | Self::Skipped { step, .. }
            | Self::NotSaved { step, .. }
            | Self::Stopping { step } => (None, Some(*step)),
            Self::Asked { worker, step, .. } => (worker.as_deref(), Some(*step)),
            Self::NotLetIn { .. } | Self::Door(_) | Self::NoAudit => (None, None),
        }
    }
}

/// What the run waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Someone to compute.
    Workers {
        /// So many are here.
        here: u32,
        /// So many have to be.
        least: u32,
    },
    /// Gradients of these workers.
    Gradients(Vec<String>),
    /// Another worker, for a node that two computed differently.
    Opinion(Node),
    /// Pieces of an evaluation, by these workers.
    Pieces(Vec<String>),
    /// The disk.
    Checkpoint,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workers { least: 1, .. } => write!(f, "a worker"),
            Self::Workers { here, least } => write!(f, "workers, {here} of at least {least} are here"),
            Self::Gradients(workers) => write!(f, "the gradients of {}", workers.join(", ")),
            Self::Opinion(node) => {
                write!(
                    f,
                    "another worker to compute shards {node}, of which two have computed different numbers"
                )
            }
            Self::Pieces(workers) => write!(f, "the evaluation by {}", workers.join(", ")),
            Self::Checkpoint => write!(f, "the checkpoint to be written"),
        }
    }
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
            Self::NotLetIn { what, from, why, times: 1 } => {
                write!(f, "a {what} from {from} was refused: {why}")
            }
            Self::NotLetIn { what, from, why, times } => {
                write!(f, "{times} {what}s were refused, the last from {from}: {why}")
            }
            Self::Door(text) => f.write_str(text),
            Self::Asked { by, worker: Some(worker), .. } => write!(f, "{by} asks worker {worker} to leave"),
            Self::Asked { by, worker: None, .. } => write!(f, "{by} asks the run to stop"),
            Self::Relaxed { worker, text } => {
                write!(f, "worker {worker} takes part although it computes other bits: {text}")
            }
            Self::Left { worker, step } => {
                write!(f, "worker {worker} has left in step {step}; others compute its shards from now on")
            }
            Self::Late { worker, step } => {
                write!(f, "worker {worker} is late in step {step}; idle ones compute what it has open too")
            }
            Self::Waiting { step, what, seconds: 0 } => {
                write!(f, "waiting for {what}; the run goes on at step {step} when one joins")
            }
            Self::Waiting { step, what, seconds } => {
                write!(f, "still waiting for {what}, for {seconds} s; the run is at step {step}")
            }
            Self::Doubtful { worker, step, node } => write!(
                f,
                "worker {worker} computed numbers that are not finite for shards {node} in step {step}, where \
                 another worker's are finite: check that machine's memory and processor"
            ),
            Self::Differs { workers, step, node } => write!(
                f,
                "{} computed different numbers for shards {node} in step {step}; a third is to decide",
                workers.join(" and ")
            ),
            Self::Wrong(wrong) => write!(
                f,
                "{wrong}, and is put out: check that machine's memory and processor. What it computed \
                 before and nobody compared may be wrong too; lockstep verify finds from which step on"
            ),
            Self::NoAudit => {
                write!(f, "cluster.audit needs a second worker: until one joins, nothing is computed twice")
            }
            Self::Skipped { step, what } => write!(f, "step {step} was left out: {what}"),
            Self::NotSaved { step, why } => {
                write!(f, "the checkpoint of step {step} could not be written: {why}")
            }
            Self::Stopping { step } => write!(f, "stopping in step {step}: writing a checkpoint"),
        }
    }
}
