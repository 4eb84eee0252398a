//! The compute thread: jobs in, chunks out. Nothing asynchronous runs on it, and none of the
//! arithmetic runs anywhere else.

use std::sync::{Arc, mpsc};
use std::{io, thread};

use lockstep_core::evaluation;
use lockstep_core::gradient::{Engine, Step};
use lockstep_core::model::Workspace;
use lockstep_core::run::spec::Wire;
use lockstep_core::threads::Threads;
use lockstep_core::tree::{Node, Tree};
use tokio::sync::mpsc as async_mpsc;

use crate::arriving::Arriving;
use crate::compute;
use crate::prefetch::Prefetch;
use crate::session::{Input, Job};
use crate::task::{Task, Unfit, empty};

/// One thing to compute.
#[derive(Debug)]
pub(crate) enum Order {
    Compute(Job),
    Evaluate { weights: Arc<Arriving>, pieces: Vec<u32> },
}

/// What the thread computes, as inputs of the session; an error is the last.
pub(crate) type Computed = async_mpsc::UnboundedReceiver<Result<Input, Unfit>>;

/// Starts the thread; it ends when the sender is dropped.
pub(crate) fn start(task: Task, threads: Threads) -> io::Result<(mpsc::Sender<Order>, Computed)> {
    let (orders, incoming) = mpsc::channel();
    let (outgoing, inputs) = async_mpsc::unbounded_channel();
    let prefetch = Prefetch::start(task.clone())?;
    let engine = Engine::new(task.model.clone(), threads);
    let workspace = Workspace::new(&task.model);
    let mut computer = Computer { task, engine, workspace, prefetch, outgoing };
    thread::Builder::new().name("compute".into()).spawn(move || {
        for order in incoming {
            let done = match order {
                Order::Compute(job) => computer.compute(&job),
                Order::Evaluate { weights, pieces } => computer.evaluate(&weights, &pieces),
            };
            let done = computer.outgoing.send(done);
            if done.is_err() {
                return;
            }
        }
    })?;
    Ok((orders, inputs))
}

struct Computer {
    task: Task,
    engine: Engine<f32>,
    workspace: Workspace<f32>,
    prefetch: Prefetch,
    outgoing: async_mpsc::UnboundedSender<Result<Input, Unfit>>,
}

impl Computer {
    fn compute(&mut self, job: &Job) -> Result<Input, Unfit> {
        let tree = Tree::new(self.task.run.cluster.shards);
        let wire: Wire = self.task.run.cluster.wire;
        let step = Step { seed: self.task.run.seed, step: job.step, tree, wire };
        let apart = |(i, node): (usize, &Node)| {
            tree.contains(*node) && job.nodes.iter().take(i).all(|other| !other.overlaps(*node))
        };
        if !job.nodes.iter().enumerate().all(apart) {
            return Err(Unfit::Nodes);
        }
        let shards: Vec<u32> =
            job.nodes.iter().copied().flat_map(Node::shards).filter(|shard| *shard < tree.shards()).collect();
        let mut batches = self.prefetch.take(job.step, shards.clone())?;
        compute::run(&mut self.engine, &self.task.chunks, step, job, &mut batches, |gradient| {
            // The session is gone if nobody listens; the thread ends after this job.
            let _ = self.outgoing.send(Ok(Input::Chunk(gradient)));
        });
        self.prefetch.ahead(job.step.saturating_add(1), shards, batches);
        Ok(Input::Done)
    }

    fn evaluate(&mut self, weights: &Arriving, pieces: &[u32]) -> Result<Input, Unfit> {
        let mut batch = empty();
        let mut sums = Vec::with_capacity(pieces.len());
        for &piece in pieces {
            if self.task.load_piece(piece, &mut batch)?.is_some() {
                let piece_sums =
                    evaluation::piece(&self.task.model, weights, &mut self.workspace, &mut batch);
                sums.push((piece, piece_sums));
            }
        }
        Ok(Input::Evaluated(sums))
    }
}
