//! The reducer: the data plane's half of the coordinator.
//!
//! The [`Ledger`] decides; the arithmetic here sums, updates and says what to send. A gradient chunk's
//! way, without a turn back:
//!
//! ```text
//! payload ─▶ added to the sibling that waits ─▶ … ─▶ root ─▶ mean ─▶ optimizer ─▶ encoded once ─▶ all workers
//! ```
//!
//! All memory is used again: once a step has been like the others, a chunk allocates nothing.
//!
//! With `clip_norm` the update needs the whole gradient: roots wait for the last chunk.
//!
//! Chunks of statistics go the same way, except that they are combined instead of added, are never bf16,
//! and change the running statistics at the root, without a mean or the optimizer.

mod arithmetic;
mod audit;
mod subscribers;
mod update;

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use lockstep_core::chunks::Chunks;
use lockstep_core::gradient::Summary;
use lockstep_core::run::spec::{Run, Wire};
use lockstep_core::threads::Threads;
use lockstep_core::tree::{Node, Tree};
use lockstep_core::wire;
use lockstep_proto::message::{Down, Gradient, Weights};
use lockstep_proto::{Payloads, Session};

use crate::ledger::{Accepted, Ledger, Refusal};
use arithmetic::{Addend, Sum};
use audit::{Audits, Verdict};
use subscribers::{Due, Subscribers};
use update::Change;
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
    /// A chunk of this node, as this worker computed it, is not finite.
    NodeNotFinite(Session, Node),
    /// What these sessions computed for this node differs.
    Differs(Node, Vec<Session>),
    /// What this session computed for this node is not what two others did.
    Wrong(Session, Node),
    /// A sum of finite gradients or losses is not finite: nothing of the step is committed.
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
    /// Its numbers were not finite, or its loss was too high, so that the weights stay; the summary is empty.
    pub skipped: bool,
    /// Its loss was too high.
    pub spike: Option<Spike>,
}

/// A loss that is too high.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spike {
    /// The step's.
    pub loss: f64,
    /// Of the steps before.
    pub median: f64,
}

/// Sums, updates and sends.
#[derive(Debug)]
pub struct Reducer {
    ledger: Ledger,
    audits: Audits,
    chunks: Chunks,
    tree: Tree,
    wire: Wire,
    threads: Threads,
    state: State,
    /// Of each chunk, sums that wait for their sibling.
    waiting: Vec<Vec<(Node, Vec<f32>)>>,
    /// What is added to the chunk at hand.
    addends: Vec<Addend>,
    /// Memory of sums that are done.
    spare: Vec<Vec<f32>>,
    payloads: Payloads,
    /// W(step) and W(step + 1), chunk by chunk, as they were encoded for workers that came late to them:
    /// the next one shares their memory. Let go of at the next commit.
    late: [Vec<Option<Bytes>>; 2],
    /// In the order in which they were applied.
    applied: Vec<u32>,
    summary: Summary,
    subscribers: Subscribers,
    due: Vec<Due>,
    outputs: VecDeque<Output>,
}

impl Reducer {
    /// At W(step), as `state` has it, cut into chunks as the workers cut.
    pub fn new(run: &Run, chunks: Chunks, window: u32, state: State) -> Self {
        let tree = Tree::new(run.cluster.shards);
        let count = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        Self {
            ledger: Ledger::new(tree, count, window),
            audits: Audits::default(),
            waiting: chunks.iter().map(|_| Vec::new()).collect(),
            late: [(); 2].map(|()| vec![None; chunks.len()]),
            payloads: Payloads::new(4 * chunks.iter().map(|range| range.len()).max().unwrap_or(0)),
            chunks,
            tree,
            wire: run.cluster.wire,
            threads: Threads::one(),
            state,
            addends: Vec::new(),
            spare: Vec::new(),
            applied: Vec::new(),
            summary: Summary::default(),
            subscribers: Subscribers::default(),
            due: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Sums and updates on these threads. How many there are never shows in a number.
    #[must_use]
    pub fn on(self, threads: Threads) -> Self {
        Self { threads, ..self }
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

    /// Each chunk of these nodes is here only when two workers' copies of it agree.
    pub fn audit(&mut self, nodes: &[Node]) {
        self.audits.add(nodes);
    }

    /// One copy of these nodes is enough after all: there is nobody for a second.
    pub fn give_up_audits(&mut self, nodes: &[Node]) {
        for (session, gradient) in
            nodes.iter().flat_map(|node| self.audits.give_up(*node)).collect::<Vec<_>>()
        {
            // It was wanted when it came; if it is not any more, another has taken its place.
            let _ = self.gradient(session, &gradient);
        }
    }

    /// Whether the node's chunks wait for a second copy.
    pub fn audits(&self, node: Node) -> bool {
        self.audits.contains(node)
    }

    /// Copies that wait for one that agrees: each is a chunk in memory.
    pub fn copies(&self) -> usize {
        self.audits.kept()
    }

    /// Closes the open step, and says whether anything of it was applied.
    pub fn abandon(&mut self) {
        self.ledger.close();
        self.audits.clear();
        self.late[1].fill(None);
        self.forget_sums();
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

    /// A worker that is gone. Its chunks that are here stay; copies that wait for another's do not.
    pub fn detach(&mut self, session: Session) {
        self.subscribers.detach(session);
        self.audits.lose(session);
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
            let payload = encode(&mut self.payloads, &self.state.weights()[range], Wire::F32);
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
        if !summary.loss.is_finite() || !wire::is_finite(payload, encoding) {
            self.outputs.push_back(Output::NodeNotFinite(session, node));
            return Err(Refusal::NotFinite);
        }
        match self.audits.compare(session, gradient) {
            Verdict::Right(wrong) => {
                self.outputs.extend(wrong.into_iter().map(|session| Output::Wrong(session, node)));
            }
            Verdict::Kept => return Ok(()),
            Verdict::Differs(sessions) => {
                self.outputs.push_back(Output::Differs(node, sessions));
                return Ok(());
            }
            Verdict::Again => return Err(Refusal::NotWanted),
        }
        let accepted = self.ledger.accept(step, node, chunk, summary)?;
        let Accepted { at, summary, root, node_done, granted, siblings } = accepted;

        for merge in siblings {
            let Some(waiting) = self.waiting.get_mut(chunk as usize) else { continue };
            let Some(place) = waiting.iter().position(|(node, _)| *node == merge.waiting) else { continue };
            let (_, values) = waiting.swap_remove(place);
            let rounded = self.wire == Wire::Bf16 && merge.parent != self.tree.root();
            self.addends.push(Addend { values, rows: merge.rows, rounded });
        }
        let weight = root.then(|| summary.divisor());
        let (sum, finite) = if statistics {
            self.combine(&range, payload, gradient.summary.rows)
        } else {
            self.add(&range, payload, encoding, weight)
        };
        if node_done {
            self.outputs.push_back(Output::NodeDone(node));
        }
        if root {
            self.root(chunk, &sum, finite, summary);
            self.spare.push(sum);
        } else if let Some(waiting) = self.waiting.get_mut(chunk as usize) {
            waiting.push((at, sum));
        }
        if let Some(chunks) = granted.filter(|_| self.ledger.step() == Some(step)) {
            for session in self.subscribers.sessions() {
                self.outputs.push_back(Output::Send(session, Down::Grant { step, chunks }));
            }
        }
        Ok(())
    }

    /// The payload plus the siblings that waited for it, in tree order; divided by the weight, if there
    /// is one, and then whether it is finite.
    fn add(
        &mut self,
        range: &Range<usize>,
        payload: &[u8],
        encoding: Wire,
        weight: Option<f64>,
    ) -> (Vec<f32>, bool) {
        let first = (!self.addends.is_empty()).then(|| self.addends.remove(0));
        let (mut sum, first) = match first {
            Some(Addend { values, rounded, .. }) => (values, Some(rounded)),
            None => (self.spare.pop().unwrap_or_default(), None),
        };
        sum.resize(range.len(), 0.0);
        let others = &self.addends;
        let finite = Sum { payload, encoding, first, others, weight }.compute(&self.threads, &mut sum);
        self.spare.extend(self.addends.drain(..).map(|addend| addend.values));
        (sum, finite)
    }

    /// As [`Self::add`], for statistics of so many rows, which have no mean. Combining is commutative too.
    fn combine(&mut self, range: &Range<usize>, payload: &[u8], mut rows: u64) -> (Vec<f32>, bool) {
        let mut sum = self.spare.pop().unwrap_or_default();
        sum.resize(range.len(), 0.0);
        // Its length was checked before the ledger took it.
        wire::decode(payload, Wire::F32, &mut sum).unwrap_or_default();
        for addend in self.addends.drain(..) {
            self.state.combine(range, (&mut sum, rows), (&addend.values, addend.rows));
            rows = rows.saturating_add(addend.rows);
            self.spare.push(addend.values);
        }
        let finite = arithmetic::mean(&mut sum, 1.0);
        (sum, finite)
    }

    /// A chunk's mean over all rows is here.
    fn root(&mut self, chunk: u32, mean: &[f32], finite: bool, summary: Summary) {
        let Some(range) = self.chunks.range(chunk as usize) else { return };
        self.summary = summary;
        if !summary.loss.is_finite() || !finite {
            let what = if summary.loss.is_finite() { "gradients" } else { "losses" };
            let what = format!("the sum of the shards' {what}, which are finite, is not");
            self.outputs.push_back(Output::NotFinite { step: self.step(), what });
            return;
        }
        if self.state.keeps() {
            self.state.keep_mean(range, mean);
            if self.ledger.complete() {
                if let Some(median) = self.state.exceeded(summary) {
                    return self.leave_out(Some(Spike { loss: summary.mean_loss(), median }));
                }
                self.state.clip();
                for chunk in (0..self.chunks.len()).rev() {
                    if let Some(range) = self.chunks.range(chunk) {
                        self.apply(chunk as u32, range, &Change::Kept(summary.rows));
                    }
                }
            }
        } else {
            self.apply(chunk, range, &Change::Mean(mean, summary.rows));
        }
        if self.applied.len() == self.chunks.len() {
            self.commit(false, None);
        }
    }

    /// Commits the open step without its gradient, of a run whose updates wait for the last chunk.
    pub fn skip(&mut self) {
        self.leave_out(None);
    }

    fn leave_out(&mut self, spike: Option<Spike>) {
        if self.ledger.step().is_none() || !self.state.keeps() || !self.applied.is_empty() {
            return;
        }
        self.forget_sums();
        self.audits.clear();
        self.summary = Summary::default();
        for chunk in (0..self.chunks.len()).rev() {
            if let Some(range) = self.chunks.range(chunk) {
                self.apply(chunk as u32, range, &Change::Nothing);
            }
        }
        self.commit(true, spike);
    }

    fn forget_sums(&mut self) {
        let waiting = self.waiting.iter_mut().flat_map(|waiting| waiting.drain(..));
        self.spare.extend(waiting.map(|(_, sum)| sum));
    }

    /// Updates a chunk, and sends it to whoever has room for it.
    fn apply(&mut self, chunk: u32, range: Range<usize>, change: &Change<'_>) {
        let Self { payloads, state, threads, wire, .. } = self;
        let payload = payloads.make(range.len() * wire::width(*wire), |bytes| {
            state.apply(range, change, bytes, *wire, threads);
        });
        self.applied.push(chunk);
        let step = self.step();
        let last = self.applied.len() - 1;
        let mut due = std::mem::take(&mut self.due);
        due.extend(self.subscribers.advance(step, self.applied.len()));
        for due in &due {
            if due.applied_from == last {
                let weights = Weights { step: step + 1, chunk, exact: false, payload: payload.clone() };
                self.outputs.push_back(Output::Send(due.session, Down::Weights(weights)));
            }
        }
        due.retain(|due| due.applied_from < last);
        self.send(&due);
        due.clear();
        self.due = due;
    }

    fn commit(&mut self, skipped: bool, spike: Option<Spike>) {
        let step = self.step();
        let Self { summary, state, .. } = self;
        if !skipped {
            state.took(*summary);
        }
        let (lr, norm) = (state.lr(), state.norm());
        let committed = Committed { step, summary: *summary, lr, norm, skipped, spike };
        self.subscribers.commit(step, self.chunks.len());
        self.ledger.close();
        self.audits.clear();
        self.applied.clear();
        self.late.iter_mut().for_each(|late| late.fill(None));
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
                let (chunk, values) = (chunk as u32, &self.state.weights()[range]);
                let payload = kept(&mut self.late[0], &mut self.payloads, chunk, values, self.wire);
                for due in due.iter().filter(|due| due.whole) {
                    let weights = Weights { step, chunk, exact: false, payload: payload.clone() };
                    self.outputs.push_back(Output::Send(due.session, Down::Weights(weights)));
                }
            }
        }
        for (index, &chunk) in self.applied.iter().enumerate().skip(first) {
            let Some(range) = self.chunks.range(chunk as usize) else { continue };
            let values = &self.state.next()[range];
            let payload = kept(&mut self.late[1], &mut self.payloads, chunk, values, self.wire);
            for due in due.iter().filter(|due| from(due) <= index) {
                let weights = Weights { step: step + 1, chunk, exact: false, payload: payload.clone() };
                self.outputs.push_back(Output::Send(due.session, Down::Weights(weights)));
            }
        }
    }
}

/// A chunk's payload, encoded if it is not among those that are kept.
fn kept(
    late: &mut [Option<Bytes>],
    payloads: &mut Payloads,
    chunk: u32,
    values: &[f32],
    wire: Wire,
) -> Bytes {
    match late.get_mut(chunk as usize) {
        Some(kept) => kept.get_or_insert_with(|| encode(payloads, values, wire)).clone(),
        None => encode(payloads, values, wire),
    }
}

fn encode(payloads: &mut Payloads, values: &[f32], encoding: Wire) -> Bytes {
    payloads.make(values.len() * wire::width(encoding), |bytes| wire::write(values, encoding, bytes))
}
