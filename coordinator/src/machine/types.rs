//! What goes into the machine and what comes out, as plain data.

use std::time::Duration;

use lockstep_core::epoch::Plan;
use lockstep_core::metrics::{Kind, Metric};
use lockstep_core::run::spec::{EarlyStopping, LossSpike, Numerics, OnNonfinite};
use lockstep_core::tree::Node;
use lockstep_proto::Session;
use lockstep_proto::message::{Computed, Evaluated, Explained, Hello, Outcome, Ready, ToWorker};

use crate::notice::Notice;
use crate::progress::{Progress, Record};
use crate::reducer::Committed;

/// What the machine must know of the run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The epoch's arithmetic: training rows, shards, batch.
    pub plan: Plan,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Steps between two evaluations.
    pub evaluate_every: u64,
    /// Pieces of the validation rows; 0: there are none.
    pub pieces: u32,
    /// Steps between two checkpoints.
    pub save_every: u64,
    /// Time after which a checkpoint is written between them.
    pub save_after: Option<Duration>,
    /// What evaluations decide.
    pub watched: Watched,
    /// What follows numbers that are not finite.
    pub on_nonfinite: OnNonfinite,
    /// When a loss is too high.
    pub loss_spike: Option<LossSpike>,
    /// Between two signs of life.
    pub heartbeat: Duration,
    /// No step begins with fewer workers; at least 1.
    pub min_workers: u32,
    /// Whether workers that compute other bits are refused.
    pub numerics: Numerics,
    /// The kernel that workers run under.
    pub kernel: String,
    /// The resolved run file, for workers.
    pub run: String,
    /// Description of the training rows, for workers.
    pub train: String,
    /// Of the validation rows.
    pub validation: Option<String>,
    /// Chunks of a node that may be sent without a grant.
    pub window: u32,
    /// Whether rows come in blocks.
    pub blocks: bool,
    /// Of the run's random streams.
    pub seed: u64,
    /// The share of (step, node) pairs that a second worker computes too.
    pub audit: f64,
}

/// What evaluations decide: which checkpoint is the best, and whether the run ends early.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// What they report.
    pub kind: Kind,
    /// `checkpoint.best`
    pub best: Option<Metric>,
    /// `train.early_stopping`
    pub early_stopping: Option<EarlyStopping>,
}

/// What the run's first worker computed; every later one is compared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The first worker's numerics.
    pub numerics: String,
    /// Of its arithmetic.
    pub hash: [u8; 32],
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The run goes on from where it is; before every other event.
    Start,
    /// A worker is at the door, under a new session.
    Hello(Session, Hello),
    /// Its rows and its model are ready.
    Ready(Session, Ready),
    /// Its tensor stream is open.
    Tensors(Session),
    /// A sign of life.
    Heard(Session),
    /// A sign that its work moves: a chunk, or rows that it took.
    Moved(Session),
    /// It needs no W older than this step.
    Released(Session, u64),
    /// The nodes of an assignment are computed.
    Computed(Session, Computed),
    /// It wants to go.
    Leave(Session),
    /// An admin wants it to go.
    Drain(Session),
    /// Sums of pieces.
    Evaluated(Session, Evaluated),
    /// A stream of it broke, for this reason.
    Gone(Session, String),
    /// All of a node is here.
    NodeDone(Node),
    /// The step is done.
    Committed(Committed),
    /// The step is closed.
    Abandoned {
        /// Nothing of it was applied: W(step) and its optimizer are whole.
        whole: bool,
    },
    /// Numbers of this node, as this worker computed them, are not finite; they were refused.
    NodeNotFinite(Session, Node),
    /// Where a node's numbers stopped being finite.
    Explained(Session, Explained),
    /// What these sessions computed for this node differs.
    Differs(Node, Vec<Session>),
    /// What this session computed for this node is not what two others did.
    Wrong(Session, Node),
    /// The step's numbers are not finite, whoever computes them.
    NotFinite {
        /// The step.
        step: u64,
        /// For people.
        what: String,
    },
    /// A checkpoint is on disk, or failed to be.
    Saved {
        /// Its step.
        step: u64,
        /// What went wrong.
        result: Result<(), String>,
    },
    /// Rows that the run needs cannot be had.
    Failed(String),
    /// A signal: write a checkpoint and end.
    Stop {
        /// Nothing of the open step is applied yet, so it can be abandoned.
        untouched: bool,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send to a worker.
    Send(Session, ToWorker),
    /// Close all of a worker's streams once what was sent is out.
    Close(Session),
    /// Open a step in which these shards have rows.
    Begin(Vec<bool>),
    /// Want these nodes.
    Want(Vec<Node>),
    /// Of these nodes, two copies have to agree.
    Audit(Vec<Node>),
    /// Of these, one is enough after all.
    GiveUpAudits(Vec<Node>),
    /// Close the open step and answer with [`Event::Abandoned`].
    Abandon,
    /// Commit the open step without its gradient: the weights stay.
    Skip,
    /// Send this worker weights from now on.
    Attach(Session),
    /// Send it no more.
    Detach(Session),
    /// Send it the exact weights, if the wire rounds them.
    SendExact(Session),
    /// Take a snapshot and write a checkpoint.
    Save(Box<Save>),
    /// Store what the first worker computes.
    Remember(Fingerprint),
    /// A line of metrics.
    Record(Record),
    /// For the log.
    Notice(Notice),
    /// The run has ended.
    Finish(Outcome, String),
}

/// A checkpoint to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Save {
    /// How far the run is.
    pub progress: Progress,
    /// Whether its digest goes into the chain that everyone can compare.
    pub milestone: bool,
}
