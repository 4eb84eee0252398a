//! A worker's session: what to compute and what to send.
//!
//! ```text
//!            Weights(t) whole ─┐
//!  Assign(t, nodes) ───────────┴▶ Compute(t, nodes) ─▶ Chunk … Chunk ─▶ Done
//!                                                        │ granted: Send
//!                                                        └ not yet: kept
//!            Weights(t+1) whole ──▶ Release(t+1) once nobody computes on W(t)
//! ```
//!
//! Control and weights travel apart and may overtake each other: an assignment waits for its weights,
//! weights wait for their assignment. Inputs in, outputs out; no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use lockstep_core::chunks::Chunks;
use lockstep_core::metrics::Sums;
use lockstep_core::run::spec::Wire;
use lockstep_core::tree::Node;
use lockstep_proto::Generation;
use lockstep_proto::message::{Assign, Down, Evaluate, Evaluated, FromWorker, Gradient, Up};

use crate::weights::{Buffer, Misfit};

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Nodes to compute.
    Assign(Assign),
    /// Pieces to evaluate.
    Evaluate(Evaluate),
    /// On the tensor stream.
    Tensors(Down),
    /// A chunk of a gradient has been computed.
    Chunk(Gradient),
    /// The job that was begun last is done.
    Done,
    /// So is the evaluation.
    Evaluated(Vec<(u32, Sums)>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Compute these nodes at W(step); answer with chunks, then `Done`. One job at a time.
    Compute(Job),
    /// Evaluate these pieces; answer with `Evaluated`.
    Evaluate {
        /// The weights' step.
        step: u64,
        /// W(step), exact.
        weights: Arc<Vec<f32>>,
        /// Ascending.
        pieces: Vec<u32>,
    },
    /// On the control stream.
    Control(FromWorker),
    /// On the tensor stream.
    Tensors(Up),
}

/// Nodes to compute.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Under which assignment.
    pub generation: Generation,
    /// The step.
    pub step: u64,
    /// From left to right.
    pub nodes: Vec<Node>,
    /// W(step), as the wire gave it.
    pub weights: Arc<Vec<f32>>,
}

/// The session of one worker.
#[derive(Debug)]
pub struct Session {
    chunks: Chunks,
    wire: Wire,
    window: u32,
    weights: Buffer,
    /// f32 master weights for an evaluation, where the wire rounds.
    exact: Buffer,
    assigned: Option<Assign>,
    evaluation: Option<Evaluate>,
    /// Nodes of the current step that were begun.
    begun: BTreeSet<Node>,
    /// The step that is computed at the moment.
    busy: Option<u64>,
    released: u64,
    /// The step, and how many chunks of each node may be sent.
    granted: (u64, u32),
    /// By upload rank, then node: what is computed and not granted.
    kept: BTreeMap<(u32, Node), Gradient>,
    outputs: VecDeque<Output>,
}

impl Session {
    /// A session in which `window` chunks may be sent without a grant.
    pub fn new(chunks: Chunks, wire: Wire, window: u32) -> Self {
        Self {
            weights: Buffer::new(chunks.clone(), wire),
            exact: Buffer::new(chunks.clone(), Wire::F32),
            chunks,
            wire,
            window,
            assigned: None,
            evaluation: None,
            begun: BTreeSet::new(),
            busy: None,
            released: 0,
            granted: (0, 0),
            kept: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// What is to be done next, until there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Chunks that are computed and wait for a grant.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Takes an input. An error means that the coordinator does not speak of this model.
    pub fn handle(&mut self, input: Input) -> Result<(), Misfit> {
        match input {
            Input::Assign(assign) => {
                let newer = |old: &Assign| (old.generation, old.step) <= (assign.generation, assign.step);
                if self.assigned.as_ref().is_none_or(newer) {
                    self.assigned = Some(assign);
                }
            }
            Input::Evaluate(evaluate) => self.evaluation = Some(evaluate),
            Input::Tensors(Down::Weights(weights)) if weights.exact => {
                self.exact.take(&weights)?;
            }
            Input::Tensors(Down::Weights(weights)) => {
                if self.weights.take(&weights)? {
                    // The step before is committed: nobody wants its gradient any more.
                    self.begun.clear();
                    self.kept.clear();
                }
            }
            Input::Tensors(Down::Grant { step, chunks }) => {
                self.granted = self.granted.max((step, chunks));
                self.send_granted();
            }
            Input::Chunk(gradient) => self.computed(gradient),
            Input::Done => self.busy = None,
            Input::Evaluated(pieces) => {
                if let Some(step) = self.busy.take() {
                    let evaluated = Evaluated { step, pieces };
                    self.outputs.push_back(Output::Control(FromWorker::Evaluated(evaluated)));
                }
            }
        }
        self.advance();
        Ok(())
    }

    fn advance(&mut self) {
        let Some((step, weights)) = self.weights.current() else { return };
        if self.busy.is_none_or(|busy| busy >= step) && self.released < step {
            self.released = step;
            self.outputs.push_back(Output::Tensors(Up::Release(step)));
        }
        if self.busy.is_some() {
            return;
        }
        self.evaluation.take_if(|evaluate| evaluate.step < step);
        let exact = if self.wire == Wire::F32 { self.weights.current() } else { self.exact.current() };
        // It may come before its weights, and then waits for them.
        if let Some((exact, weights)) = exact
            && let Some(evaluate) = self.evaluation.take_if(|evaluate| evaluate.step == exact)
        {
            self.busy = Some(evaluate.step);
            let (step, weights, pieces) = (evaluate.step, weights.clone(), evaluate.pieces);
            return self.outputs.push_back(Output::Evaluate { step, weights, pieces });
        }
        let Some(assign) = self.assigned.as_ref().filter(|assign| assign.step == step) else { return };
        let nodes: Vec<Node> =
            assign.nodes.iter().copied().filter(|node| !self.begun.contains(node)).collect();
        if nodes.is_empty() {
            return;
        }
        let job = Job { generation: assign.generation, step, nodes, weights: weights.clone() };
        self.begun.extend(&job.nodes);
        self.busy = Some(step);
        self.outputs.push_back(Output::Compute(job));
    }

    fn computed(&mut self, gradient: Gradient) {
        let current = self.weights.current().map(|(step, _)| step);
        if current != Some(gradient.step) {
            return;
        }
        let rank = self.chunks.mirrored(gradient.chunk as usize).unwrap_or(usize::MAX) as u32;
        self.kept.insert((rank, gradient.node), gradient);
        self.send_granted();
    }

    fn send_granted(&mut self) {
        let Some((step, _)) = self.weights.current() else { return };
        let granted = if self.granted.0 == step { self.granted.1.max(self.window) } else { self.window };
        while let Some(first) = self.kept.first_entry().filter(|first| first.key().0 < granted) {
            self.outputs.push_back(Output::Tensors(Up::Gradient(first.remove())));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use lockstep_core::layout::Layout;
    use lockstep_proto::message::Weights;

    use super::*;

    const G: Generation = Generation::new(1, 1);

    /// One chunk of one value.
    fn session(wire: Wire) -> Session {
        let mut layout = Layout::new();
        layout.push(0, "layers.0.bias", &[1]);
        Session::new(Chunks::new(&layout), wire, 1)
    }

    fn weights(step: u64, exact: bool, payload: &'static [u8]) -> Input {
        let payload = Bytes::from_static(payload);
        Input::Tensors(Down::Weights(Weights { step, chunk: 0, exact, payload }))
    }

    fn outputs(session: &mut Session, input: Input) -> Vec<Output> {
        session.handle(input).unwrap();
        std::iter::from_fn(|| session.poll_output()).collect()
    }

    #[test]
    fn an_evaluation_waits_for_its_exact_weights() {
        let mut session = session(Wire::Bf16);
        let evaluate = Evaluate { generation: G, step: 4, pieces: vec![1, 2] };
        let released = Output::Tensors(Up::Release(4));
        assert_eq!(outputs(&mut session, weights(4, false, &[0x80, 0x3f])), [released]);
        assert_eq!(outputs(&mut session, Input::Evaluate(evaluate)), []);
        let weights = outputs(&mut session, weights(4, true, &[1, 0, 0x80, 0x3f]));
        let exact = Arc::new(vec![f32::from_bits(0x3f80_0001)]);
        assert_eq!(weights, [Output::Evaluate { step: 4, weights: exact, pieces: vec![1, 2] }]);
    }

    #[test]
    fn an_assignment_waits_for_its_weights_and_a_chunk_for_its_grant() {
        let mut session = session(Wire::F32);
        let nodes = vec![Node::leaf(0)];
        let assign = Assign { generation: G, step: 4, nodes: nodes.clone() };
        assert_eq!(outputs(&mut session, Input::Assign(assign)), []);
        let job = Job { generation: G, step: 4, nodes, weights: Arc::new(vec![1.0]) };
        assert_eq!(
            outputs(&mut session, weights(4, false, &[0, 0, 0x80, 0x3f])),
            [Output::Tensors(Up::Release(4)), Output::Compute(job)]
        );
        // The next weights are here before the job is done: the worker still needs the old ones.
        assert_eq!(outputs(&mut session, weights(5, false, &[0, 0, 0, 0])), []);
        assert_eq!(outputs(&mut session, Input::Done), [Output::Tensors(Up::Release(5))]);
    }

    #[test]
    fn weights_that_do_not_fit_are_an_error() {
        let mut session = session(Wire::F32);
        let error = session.handle(weights(4, false, &[0, 0])).unwrap_err();
        assert_eq!(error.to_string(), "weights that do not fit the model: chunk 0 of 2 bytes");
    }
}
