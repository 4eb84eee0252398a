//! The reducer: the data plane's half of the coordinator.
//!
//! The [`Ledger`] decides; the arithmetic here sums, updates and says what to send. A gradient chunk's
//! way, without a turn back:
//!
//! ```text
//! payload ─▶ added to the sibling that waits ─▶ … ─▶ root ─▶ mean ─▶ optimizer ─▶ encoded once ─▶ all workers
//! ```
//!
//! With `clip_norm` the update needs the whole gradient: roots wait for the last chunk.
//!
//! Chunks of statistics go the same way, except that they are combined instead of added, are never bf16,
//! and change the running statistics at the root, without a mean or the optimizer.

mod subscribers;
mod update;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bytes::Bytes;
use lockstep_core::chunks::Chunks;
use lockstep_core::gradient::Summary;
use lockstep_core::run::spec::{Run, Wire};
use lockstep_core::tree::{Node, Tree};
use lockstep_core::wire;
use lockstep_proto::Session;
use lockstep_proto::message::{Down, Gradient, Weights};

use crate::ledger::{Ledger, Refusal};
use subscribers::{Due, Subscribers};
pub use update::{Snapshot, State};

/// What the reducer gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// To one worker.
    Send(Session, Down),
    /// Every chunk of a node is here.
    NodeDone(Node),
    /// W(step + 1) is current.
    Committed(Committed),
    /// The open step is closed.
    Abandoned {
        /// Nothing of it was applied: W(step) and its optimizer are whole.
        whole: bool,
    },
    /// The step's gradient or loss is not finite: nothing of it is committed.
    NotFinite {
        /// The step.
        step: u64,
        /// What was found, for people.
        what: String,
    },
}

/// A step that is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Committed {
    /// The step.
    pub step: u64,
    /// Over its rows.
    pub summary: Summary,
    /// The learning rate it was done with.
    pub lr: f64,
    /// Of the mean gradient before clipping, where clipping is on.
    pub norm: Option<f64>,
}

/// Sums, updates and sends.
#[derive(Debug)]
pub struct Reducer {
    ledger: Ledger,
    chunks: Chunks,
    tree: Tree,
    wire: Wire,
    state: State,
    /// Sums that wait for their sibling.
    waiting: BTreeMap<(u32, Node), Vec<f32>>,
    /// Memory of sums that are done.
    spare: Vec<Vec<f32>>,
    /// In the order in which they were applied.
    applied: Vec<u32>,
    summary: Summary,
    subscribers: Subscribers,
    outputs: VecDeque<Output>,
}

impl Reducer {
    /// At W(step), as `state` has it, cut into chunks as the workers cut.
    pub fn new(run: &Run, chunks: Chunks, window: u32, state: State) -> Self {
        let tree = Tree::new(run.cluster.shards);
        let count = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        Self {
            ledger: Ledger::new(tree, count, window),
            chunks,
            tree,
            wire: run.cluster.wire,
            state,
            waiting: BTreeMap::new(),
            spare: Vec::new(),
            applied: Vec::new(),
            summary: Summary::default(),
            subscribers: Subscribers::default(),
            outputs: VecDeque::new(),
        }
    }

    /// What is to be done next, until there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The books.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The current step: W(step) is whole.
    pub fn step(&self) -> u64 {
        self.state.step()
    }

    /// Opens the current step, in which these shards have rows.
    pub fn begin(&mut self, present: &[bool]) {
        self.ledger.begin(self.state.step(), present);
    }

    /// From now on these nodes are wanted.
    pub fn assign(&mut self, nodes: &[Node]) {
        self.ledger.assign(nodes);
    }

    /// Closes the open step, and says whether anything of it was applied.
    pub fn abandon(&mut self) {
        self.ledger.close();
        self.waiting.clear();
        self.outputs.push_back(Output::Abandoned { whole: self.applied.is_empty() });
    }

    /// W(step), the optimizer and their digest's order, copied. Between steps only: the optimizer's
    /// moments advance chunk by chunk.
    pub fn snapshot(&self) -> Snapshot {
        self.state.snapshot()
    }

    /// A worker that is to be sent weights.
    pub fn attach(&mut self, session: Session) {
        if let Some(due) = self.subscribers.attach(session, self.step(), self.applied.len()) {
            self.send(&[due]);
            let granted = self.ledger.granted();
            if granted > 0 {
                let grant = Down::Grant { step: self.step(), chunks: granted };
                self.outputs.push_back(Output::Send(session, grant));
            }
        }
    }

    /// A worker that is gone. Its chunks that are here stay.
    pub fn detach(&mut self, session: Session) {
        self.subscribers.detach(session);
    }

    /// A worker needs no W older than `step`.
    pub fn release(&mut self, session: Session, step: u64) {
        if let Some(due) = self.subscribers.release(session, step, self.step(), self.applied.len()) {
            self.send(&[due]);
        }
    }

    /// The master weights, whole and exact, for an evaluation; only where the wire rounds them, and
    /// once for each step.
    pub fn send_exact(&mut self, session: Session) {
        if self.wire == Wire::F32 || !self.subscribers.needs_exact(session, self.state.step()) {
            return;
        }
        for (chunk, range) in self.chunks.iter().enumerate() {
            let payload = encode(&self.state.weights()[range], Wire::F32);
            let weights = Weights { step: self.step(), chunk: chunk as u32, exact: true, payload };
            self.outputs.push_back(Output::Send(session, Down::Weights(weights)));
        }
    }

    /// Takes a chunk of a gradient, or refuses it and changes nothing.
    pub fn gradient(&mut self, session: Session, gradient: &Gradient) -> Result<(), Refusal> {
        let Gradient { step, node, chunk, summary, ref payload, .. } = *gradient;
        if !self.subscribers.contains(session) {
            return Err(Refusal::Ended);
        }
        self.ledger.check(step, node, chunk)?;
        let range = self.chunks.range(chunk as usize).ok_or(Refusal::NoSuchChunk)?;
        let statistics = self.state.is_statistics(&range);
        let exact = statistics || node == self.tree.root();
        let encoding = if exact { Wire::F32 } else { self.wire };
        if payload.len() != wire::width(encoding) * range.len() {
            return Err(Refusal::WrongLength);
        }
        let accepted = self.ledger.accept(step, node, chunk, summary)?;

        let mut sum = if statistics {
            self.combine(chunk, &accepted.siblings, payload, &range, summary.rows)
        } else {
            self.add(chunk, &accepted.siblings, payload, encoding, range.len())
        };
        if accepted.node_done {
            self.outputs.push_back(Output::NodeDone(node));
        }
        if !accepted.root {
            self.waiting.insert((chunk, accepted.at), sum);
        } else {
            self.root(chunk, &mut sum, accepted.summary);
            self.spare.push(sum);
        }
        if let Some(chunks) = accepted.granted.filter(|_| self.ledger.step() == Some(step)) {
            for session in self.subscribers.sessions() {
                self.outputs.push_back(Output::Send(session, Down::Grant { step, chunks }));
            }
        }
        Ok(())
    }

    /// The payload plus the siblings that waited for it, in tree order. Addition of two is
    /// commutative, so the payload is added to the sum that is here.
    fn add(
        &mut self,
        chunk: u32,
        siblings: &[crate::ledger::Merge],
        payload: &Bytes,
        encoding: Wire,
        len: usize,
    ) -> Vec<f32> {
        let mut sum: Option<Vec<f32>> = None;
        for merge in siblings {
            let Some(mut waiting) = self.waiting.remove(&(chunk, merge.waiting)) else { continue };
            match sum.take() {
                // Its length was checked before the ledger took it.
                None => wire::add(payload, encoding, &mut waiting).unwrap_or_default(),
                Some(other) => {
                    update::add(&mut waiting, &other);
                    self.spare.push(other);
                }
            }
            if self.wire == Wire::Bf16 && merge.parent != self.tree.root() {
                lockstep_core::bf16::round(&mut waiting);
            }
            sum = Some(waiting);
        }
        sum.unwrap_or_else(|| {
            let mut values = self.spare.pop().unwrap_or_default();
            values.resize(len, 0.0);
            wire::decode(payload, encoding, &mut values).unwrap_or_default();
            values
        })
    }

    /// As [`Self::add`], for statistics of so many rows. Combining is commutative too.
    fn combine(
        &mut self,
        chunk: u32,
        siblings: &[crate::ledger::Merge],
        payload: &Bytes,
        range: &Range<usize>,
        mut rows: u64,
    ) -> Vec<f32> {
        let mut sum = self.spare.pop().unwrap_or_default();
        sum.resize(range.len(), 0.0);
        // Its length was checked before the ledger took it.
        wire::decode(payload, Wire::F32, &mut sum).unwrap_or_default();
        for merge in siblings {
            let Some(waiting) = self.waiting.remove(&(chunk, merge.waiting)) else { continue };
            self.state.combine(range, (&mut sum, rows), (&waiting, merge.rows));
            rows = rows.saturating_add(merge.rows);
            self.spare.push(waiting);
        }
        sum
    }

    /// A chunk's sum over all rows is here.
    fn root(&mut self, chunk: u32, sum: &mut [f32], summary: Summary) {
        let Some(range) = self.chunks.range(chunk as usize) else { return };
        self.summary = summary;
        let weight = if self.state.is_statistics(&range) { 1.0 } else { summary.weight };
        if !summary.loss.is_finite() || !update::mean(sum, weight) {
            let what = if summary.loss.is_finite() { "gradient" } else { "loss" };
            let what = format!("the {what} is not finite");
            self.outputs.push_back(Output::NotFinite { step: self.step(), what });
            return;
        }
        if self.state.clips() {
            self.state.keep_mean(range, sum);
            if self.ledger.complete() {
                self.state.clip();
                for chunk in (0..self.chunks.len()).rev() {
                    if let Some(range) = self.chunks.range(chunk) {
                        self.state.apply_kept(range, summary.rows);
                        self.applied(chunk as u32);
                    }
                }
            }
        } else {
            self.state.apply(range, sum, summary.rows);
            self.applied(chunk);
        }
        if self.applied.len() == self.chunks.len() {
            self.commit();
        }
    }

    fn applied(&mut self, chunk: u32) {
        self.applied.push(chunk);
        let due = self.subscribers.advance(self.step(), self.applied.len());
        self.send(&due);
    }

    fn commit(&mut self) {
        let step = self.step();
        let committed =
            Committed { step, summary: self.summary, lr: self.state.lr(), norm: self.state.norm() };
        self.subscribers.commit(step, self.chunks.len());
        self.ledger.close();
        self.applied.clear();
        self.state.advance();
        self.outputs.push_back(Output::Committed(committed));
    }

    /// Encodes each chunk once, however many are sent it.
    fn send(&mut self, due: &[Due]) {
        let step = self.step();
        let from = |due: &Due| due.applied_from.min(self.applied.len());
        let first = due.iter().map(from).min().unwrap_or(self.applied.len());
        if due.iter().any(|due| due.whole) {
            for (chunk, range) in self.chunks.iter().enumerate() {
                let payload = encode(&self.state.weights()[range], self.wire);
                for due in due.iter().filter(|due| due.whole) {
                    let weights =
                        Weights { step, chunk: chunk as u32, exact: false, payload: payload.clone() };
                    self.outputs.push_back(Output::Send(due.session, Down::Weights(weights)));
                }
            }
        }
        for (index, &chunk) in self.applied.iter().enumerate().skip(first) {
            let Some(range) = self.chunks.range(chunk as usize) else { continue };
            let payload = encode(&self.state.next()[range], self.wire);
            for due in due.iter().filter(|due| from(due) <= index) {
                let weights = Weights { step: step + 1, chunk, exact: false, payload: payload.clone() };
                self.outputs.push_back(Output::Send(due.session, Down::Weights(weights)));
            }
        }
    }
}

fn encode(values: &[f32], encoding: Wire) -> Bytes {
    let mut bytes = Vec::new();
    wire::encode(values, encoding, &mut bytes);
    bytes.into()
}
