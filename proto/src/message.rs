//! The messages as plain data: what the machines take and give.

use std::fmt;

use bytes::Bytes;
use lockstep_core::gradient::Summary;
use lockstep_core::metrics::Sums;
use lockstep_core::tree::Node;

use crate::{Generation, Session};

/// Control, from a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWorker {
    /// Who is there.
    Hello(Hello),
    /// Rows are here and the model is built.
    Ready(Ready),
    /// A sign of life.
    Heartbeat,
    /// Sums over pieces of the validation rows.
    Evaluated(Evaluated),
    /// A job is done.
    Computed(Computed),
    /// The worker wants to go.
    Leave,
    /// Where a node's numbers stopped being finite.
    Explained(Explained),
}

/// Who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Version of the contract.
    pub protocol: u32,
    /// A new session under a name ends the old one.
    pub name: String,
    /// Where the worker runs, for people.
    pub host: String,
    /// Its process, for people.
    pub pid: u32,
    /// architecture/kernel/version
    pub numerics: String,
    /// The processor's model, for people; empty where the system does not tell.
    pub cpu: String,
}

/// Rows are here and the model is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What the worker's arithmetic gave for the run's own shapes.
    pub fingerprint: [u8; 32],
    /// Compute threads.
    pub threads: u32,
}

/// Sums over pieces of the validation rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// The weights that were evaluated: W(step).
    pub step: u64,
    /// Piece number and its sums.
    pub pieces: Vec<(u32, Sums)>,
}

/// The nodes of an assignment that were new to a worker are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Computed {
    /// Of the assignment.
    pub generation: Generation,
    /// The step.
    pub step: u64,
    /// How many shards the nodes have.
    pub shards: u32,
    /// Microseconds of computing, without waiting for weights.
    pub micros: u64,
}

/// Control, to a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// What a worker needs to know of the run.
    Welcome(Welcome),
    /// Not in this run, or no longer.
    Refused(Refused),
    /// The worker is a member now.
    Accepted,
    /// Nodes to compute.
    Assign(Assign),
    /// Pieces to evaluate.
    Evaluate(Evaluate),
    /// A node's gradient was not finite: where did its numbers stop to be?
    Explain(Explain),
    /// The run has ended for this worker.
    End(End),
    /// The worker may go, as it wanted to.
    Leave,
}

/// What a worker needs to know of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The session's number.
    pub session: Session,
    /// The resolved run file.
    pub run: String,
    /// Description of the training rows, JSON.
    pub train: String,
    /// Of the validation rows; `None`: there are none.
    pub validation: Option<String>,
    /// The BLAS kernel to run under.
    pub kernel: String,
    /// Chunks of a node that may be sent without a grant.
    pub window: u32,
    /// Whether rows come in blocks, which the catalog lists.
    pub blocks: bool,
}

/// Why a worker is not in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Another version of the contract.
    Protocol,
    /// It computes other bits.
    Numerics,
    /// A new session came under its name.
    Replaced,
    /// Silent for too long.
    Late,
    /// A message that makes no sense.
    Malformed,
    /// The coordinator is stopping.
    Ending,
    /// Alive, but its work did not move for too long.
    Hung,
    /// It computed other numbers for a node than two others did.
    Corrupt,
}

impl Reason {
    /// Whether the same worker may try again and be taken.
    pub const fn may_return(self) -> bool {
        matches!(self, Self::Late | Self::Ending | Self::Hung)
    }
}

/// Not in this run, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// For machines.
    pub reason: Reason,
    /// For people.
    pub text: String,
}

/// All nodes that a worker is to compute in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assign {
    /// A newer generation replaces an older one.
    pub generation: Generation,
    /// The step.
    pub step: u64,
    /// From left to right.
    pub nodes: Vec<Node>,
}

/// Pieces to evaluate with W(step).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluate {
    /// As for [`Assign`].
    pub generation: Generation,
    /// The weights' step.
    pub step: u64,
    /// Ascending.
    pub pieces: Vec<u32>,
}

/// A node whose gradient was not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explain {
    /// The step.
    pub step: u64,
    /// The node.
    pub node: Node,
}

/// Where a node's numbers stopped being finite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Of which gradient.
    pub of: Explain,
    /// `None`: to this worker all are finite.
    pub found: Option<Found>,
}

/// A number that is not finite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whose microbatch it is in.
    pub shard: u32,
    /// The training row, counted from 0; `None` if only a sum over rows is not finite.
    pub row: Option<u64>,
    /// For people: what it is part of.
    pub place: String,
}

/// How a run ended for a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// To be resumed.
    Stopped,
    /// An error ended it.
    Failed,
}

/// The run has ended for this worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// For machines.
    pub outcome: Outcome,
    /// For people.
    pub text: String,
}

/// Tensors, from a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Up {
    /// Names the stream's session.
    Open(Session),
    /// One chunk of one node's gradient.
    Gradient(Gradient),
    /// The worker needs no W older than this step.
    Release(u64),
}

/// One chunk of one node's gradient.
#[derive(Clone, PartialEq)]
pub struct Gradient {
    /// Under which assignment it was computed.
    pub generation: Generation,
    /// The step.
    pub step: u64,
    /// The node.
    pub node: Node,
    /// Index in the vector's order.
    pub chunk: u32,
    /// Of the whole node.
    pub summary: Summary,
    /// Little-endian numbers.
    pub payload: Bytes,
}

/// Tensors, to a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Down {
    /// One chunk of W(step).
    Weights(Weights),
    /// Of every node, the first `chunks` in upload order may be sent.
    Grant {
        /// The step.
        step: u64,
        /// How many.
        chunks: u32,
    },
}

/// One chunk of W(step).
#[derive(Clone, PartialEq)]
pub struct Weights {
    /// The step whose gradient is computed at these weights.
    pub step: u64,
    /// Index in the vector's order.
    pub chunk: u32,
    /// f32 master weights, for an evaluation; otherwise encoded as the wire says.
    pub exact: bool,
    /// Little-endian numbers, encoded once and shared by all workers.
    pub payload: Bytes,
}

// Payloads are up to a mebibyte: a log shows their length.
impl fmt::Debug for Gradient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, step, node, chunk, payload, .. } = self;
        write!(
            f,
            "Gradient(generation {generation}, step {step}, node {node}, chunk {chunk}, {} bytes)",
            payload.len()
        )
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, chunk, exact, payload } = self;
        write!(f, "Weights(step {step}, chunk {chunk}, exact {exact}, {} bytes)", payload.len())
    }
}

/// Which rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dataset {
    /// The training rows.
    Train,
    /// The validation rows.
    Validation,
    /// What both hold, as JSON; its "rows" are bytes.
    Catalog,
}

/// A request for rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsRequest {
    /// Who asks.
    pub session: Session,
    /// Of which rows.
    pub dataset: Dataset,
    /// The first one.
    pub first: u64,
    /// How many.
    pub count: u64,
}
