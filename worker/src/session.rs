//! A worker's session: what to compute and what to send.
//!
//! ```text
//!  Weights(t) begin to come ───┐
//!  Assign(t, nodes) ───────────┴▶ Compute(t, nodes) ─▶ Chunk … Chunk ─▶ Done
//!                                                        │ granted: Send
//!                                                        └ not yet: kept
//!            Weights(t) whole ──▶ Release(t) once nobody computes on W(t-1)
//! ```
//!
//! Control and weights travel apart and may overtake each other: an assignment waits for the first of
//! its weights, weights wait for their assignment. An assignment to step t tells that t-1 is committed.
//! Inputs in, outputs out; no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use lockstep_core::chunks::Chunks;
use lockstep_core::metrics::Sums;
use lockstep_core::model::Model;
use lockstep_core::run::spec::Wire;
use lockstep_core::tree::Node;
use lockstep_proto::Generation;
use lockstep_proto::message::{
    Assign, Computed, Down, Evaluate, Evaluated, Explain, Explained, FromWorker, Gradient, Up,
};

use crate::arriving::Arriving;
use crate::weights::{Buffer, Misfit};

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Nodes to compute.
    Assign(Assign),
    /// Pieces to evaluate.
    Evaluate(Evaluate),
    /// Numbers to look for.
    Explain(Explain),
    /// On the tensor stream.
    Tensors(Down),
    /// A chunk of a gradient has been computed.
    Chunk(Gradient),
    /// The job that was begun last is done.
    Done {
        /// How many shards it was over.
        shards: u32,
        /// Microseconds of computing.
        micros: u64,
    },
    /// So is the evaluation.
    Evaluated(Vec<(u32, Sums)>),
    /// So is the search.
    Explained(Explained),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Compute these nodes at W(step); answer with chunks, then `Done`. One job at a time. When W of a
    /// later step is begun, nobody wants its chunks any more.
    Compute(Job),
    /// Evaluate these pieces; answer with `Evaluated`.
    Evaluate {
        /// The weights' step.
        step: u64,
        /// W(step), exact and whole.
        weights: Arc<Arriving>,
        /// Ascending.
        pieces: Vec<u32>,
    },
    /// Find the first number of this node's gradient that is not finite; answer with `Explained`.
    Explain(Explain, Arc<Arriving>),
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
    /// W(step), as the wire gives it.
    pub weights: Arc<Arriving>,
}

/// What is computed at the moment.
#[derive(Debug)]
struct Busy {
    step: u64,
    /// Under which assignment.
    generation: Generation,
    weights: Arc<Arriving>,
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
    explain: Option<Explain>,
    /// The newest step that was begun, or whose weights are whole: the one before is committed, and
    /// nobody wants its gradient any more.
    step: u64,
    /// Nodes of that step that were begun.
    begun: BTreeSet<Node>,
    busy: Option<Busy>,
    released: u64,
    /// The step, and how many chunks of each node may be sent.
    granted: (u64, u32),
    /// By upload rank, then node: what is computed and not granted.
    kept: BTreeMap<(u32, Node), Gradient>,
    outputs: VecDeque<Output>,
}

impl Session {
    /// A session in which `window` chunks may be sent without a grant.
    pub fn new(model: &Model, chunks: Chunks, wire: Wire, window: u32) -> Self {
        Self {
            weights: Buffer::new(model, chunks.clone(), wire),
            exact: Buffer::new(model, chunks.clone(), Wire::F32),
            chunks,
            wire,
            window,
            assigned: None,
            evaluation: None,
            explain: None,
            step: 0,
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
            Input::Explain(explain) => self.explain = Some(explain),
            Input::Tensors(Down::Weights(weights)) if weights.exact => {
                self.exact.take(&weights)?;
            }
            Input::Tensors(Down::Weights(weights)) => {
                if self.weights.take(&weights)? {
                    self.enter(weights.step);
                }
            }
            Input::Tensors(Down::Grant { step, chunks }) => {
                self.granted = self.granted.max((step, chunks));
                self.send_granted();
            }
            Input::Chunk(gradient) => self.computed(gradient),
            Input::Done { shards, micros } => {
                if let Some(Busy { step, generation, .. }) = self.busy.take() {
                    let computed = Computed { generation, step, shards, micros };
                    self.outputs.push_back(Output::Control(FromWorker::Computed(computed)));
                }
            }
            Input::Explained(explained) => {
                self.busy = None;
                self.explained(explained);
            }
            Input::Evaluated(pieces) => {
                if let Some(Busy { step, .. }) = self.busy.take() {
                    let evaluated = Evaluated { step, pieces };
                    self.outputs.push_back(Output::Control(FromWorker::Evaluated(evaluated)));
                }
            }
        }
        self.advance();
        Ok(())
    }

    /// Before other work: the run waits for it. Of weights that are gone, nothing can be told.
    fn explain(&mut self) {
        let Some(explain) = self.explain.take() else { return };
        match self.weights.of(explain.step).cloned() {
            Some(weights) => {
                // Under no assignment.
                let (step, generation) = (explain.step, Generation::new(0, 0));
                self.busy = Some(Busy { step, generation, weights: weights.clone() });
                self.outputs.push_back(Output::Explain(explain, weights));
            }
            None => self.explained(Explained { of: explain, found: None }),
        }
    }

    fn explained(&mut self, explained: Explained) {
        self.outputs.push_back(Output::Control(FromWorker::Explained(explained)));
    }

    fn advance(&mut self) {
        self.release();
        if self.busy.is_none() {
            self.explain();
        }
        if self.busy.is_none() {
            self.evaluate();
        }
        if self.busy.is_none() {
            self.compute();
        }
    }

    fn release(&mut self) {
        let Some((step, _)) = self.weights.current() else { return };
        if self.busy.as_ref().is_none_or(|busy| busy.step >= step) && self.released < step {
            self.released = step;
            self.outputs.push_back(Output::Tensors(Up::Release(step)));
        }
    }

    fn evaluate(&mut self) {
        let Some((step, _)) = self.weights.current() else { return };
        self.evaluation.take_if(|evaluate| evaluate.step < step);
        let exact = if self.wire == Wire::F32 { self.weights.current() } else { self.exact.current() };
        // It may come before its weights, and then waits for them.
        if let Some((exact, weights)) = exact
            && let Some(evaluate) = self.evaluation.take_if(|evaluate| evaluate.step == exact)
        {
            let Evaluate { generation, step, pieces } = evaluate;
            let weights = weights.clone();
            self.busy = Some(Busy { step, generation, weights: weights.clone() });
            self.outputs.push_back(Output::Evaluate { step, weights, pieces });
        }
    }

    fn compute(&mut self) {
        let Some(assign) = &self.assigned else { return };
        let (generation, step) = (assign.generation, assign.step);
        let Some(weights) = self.weights.of(step).filter(|_| step >= self.step).cloned() else { return };
        let fresh = |node: &Node| step > self.step || !self.begun.contains(node);
        let nodes: Vec<Node> = assign.nodes.iter().copied().filter(fresh).collect();
        if nodes.is_empty() {
            return;
        }
        self.enter(step);
        self.begun.extend(&nodes);
        self.busy = Some(Busy { step, generation, weights: weights.clone() });
        self.outputs.push_back(Output::Compute(Job { generation, step, nodes, weights }));
    }

    fn enter(&mut self, step: u64) {
        if step > self.step {
            self.step = step;
            self.begun.clear();
            self.kept.clear();
            if let Some(busy) = self.busy.as_ref().filter(|busy| busy.step < step) {
                busy.weights.retire();
            }
        }
    }

    fn computed(&mut self, gradient: Gradient) {
        if gradient.step != self.step {
            return;
        }
        let rank = self.chunks.mirrored(gradient.chunk as usize).unwrap_or(usize::MAX) as u32;
        self.kept.insert((rank, gradient.node), gradient);
        self.send_granted();
    }

    fn send_granted(&mut self) {
        let granted = if self.granted.0 == self.step { self.granted.1.max(self.window) } else { self.window };
        while let Some(first) = self.kept.first_entry().filter(|first| first.key().0 < granted) {
            self.outputs.push_back(Output::Tensors(Up::Gradient(first.remove())));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use lockstep_core::chunks::Limits;
    use lockstep_core::gradient::Summary;
    use lockstep_core::model::Target;
    use lockstep_core::run::spec::{self, Init, Layer, Loss};
    use lockstep_proto::message::Weights;

    use super::*;

    const G: Generation = Generation::new(1, 1);

    /// One layer of one weight, and that is one chunk.
    fn session(wire: Wire) -> Session {
        let layers = vec![Layer::Linear { outputs: 1, bias: false, init: Init::Zeros }];
        let model = spec::Model { loss: Loss::MeanSquaredError, layers };
        let model = Model::new(&model, &[1], Target::Values(1)).unwrap();
        let chunks = Chunks::new(model.layout());
        Session::new(&model, chunks, wire, 1)
    }

    fn whole(value: f32) -> Arc<Arriving> {
        // Without running statistics behind it.
        let weights = Arriving::new([1, 0].into_iter());
        weights.put(0, vec![value]);
        Arc::new(weights)
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
        let exact = whole(f32::from_bits(0x3f80_0001));
        assert_eq!(weights, [Output::Evaluate { step: 4, weights: exact, pieces: vec![1, 2] }]);
    }

    #[test]
    fn an_assignment_waits_for_its_weights_and_a_chunk_for_its_grant() {
        let mut session = session(Wire::F32);
        let nodes = vec![Node::leaf(0)];
        let assign = Assign { generation: G, step: 4, nodes: nodes.clone() };
        assert_eq!(outputs(&mut session, Input::Assign(assign)), []);
        let job = Job { generation: G, step: 4, nodes, weights: whole(1.0) };
        assert_eq!(
            outputs(&mut session, weights(4, false, &[0, 0, 0x80, 0x3f])),
            [Output::Tensors(Up::Release(4)), Output::Compute(job)]
        );
        // The next weights are here before the job is done: the worker still needs the old ones.
        assert_eq!(outputs(&mut session, weights(5, false, &[0, 0, 0, 0])), []);
        let done = Input::Done { shards: 1, micros: 9 };
        let computed = Computed { generation: G, step: 4, shards: 1, micros: 9 };
        let computed = Output::Control(FromWorker::Computed(computed));
        assert_eq!(outputs(&mut session, done), [computed, Output::Tensors(Up::Release(5))]);
    }

    #[test]
    fn a_job_begins_with_the_first_layer_and_ends_the_step_before() {
        let linear = Layer::Linear { outputs: 1, bias: false, init: Init::Zeros };
        let model = spec::Model { loss: Loss::MeanSquaredError, layers: vec![linear.clone(), linear] };
        let model = Model::new(&model, &[1], Target::Values(1)).unwrap();
        let chunks = Chunks::within(model.layout(), Limits { longest: 1, tiny: 0, grain: 1 });
        let mut session = Session::new(&model, chunks, Wire::F32, 1);
        let weights = |step, chunk| {
            let payload = Bytes::from_static(&[0; 4]);
            Input::Tensors(Down::Weights(Weights { step, chunk, exact: false, payload }))
        };
        let nodes = vec![Node::leaf(0)];
        let assign = |step| Input::Assign(Assign { generation: G, step, nodes: nodes.clone() });
        let chunk = |step, chunk| {
            let (node, summary, payload) = (Node::leaf(0), Summary::default(), Bytes::new());
            Input::Chunk(Gradient { generation: G, step, node, chunk, summary, payload })
        };
        outputs(&mut session, weights(4, 0));
        let [Output::Compute(job)] = &outputs(&mut session, assign(4))[..] else { panic!("no job") };
        assert_eq!((job.step, job.weights.here()), (4, 1));
        assert_eq!(outputs(&mut session, weights(4, 1)), [Output::Tensors(Up::Release(4))]);
        assert_eq!(job.weights.here(), 3, "two layers, and no running statistics behind them");
        // The upper chunk was granted, the lower one waits.
        assert_eq!(outputs(&mut session, chunk(4, 1)).len(), 1);
        assert_eq!(outputs(&mut session, chunk(4, 0)), []);
        let done = Input::Done { shards: 1, micros: 9 };
        assert_eq!((outputs(&mut session, done).len(), session.kept()), (1, 1));
        assert_eq!(outputs(&mut session, weights(5, 0)), []);
        let [Output::Compute(job)] = &outputs(&mut session, assign(5))[..] else { panic!("no job") };
        assert_eq!((job.step, job.weights.here(), session.kept()), (5, 1, 0));
        assert_eq!(outputs(&mut session, chunk(4, 0)), []);
    }

    #[test]
    fn weights_that_do_not_fit_are_an_error() {
        let mut session = session(Wire::F32);
        let error = session.handle(weights(4, false, &[0, 0])).unwrap_err();
        assert_eq!(error.to_string(), "weights that do not fit the model: chunk 0 of 2 bytes");
    }
}
