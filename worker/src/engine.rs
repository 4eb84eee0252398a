//! The compute thread: jobs in, chunks out. Nothing asynchronous runs on it, and none of the
//! arithmetic runs anywhere else.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{io, thread};

use lockstep_core::diagnosis::{self, Fault};
use lockstep_core::evaluation;
use lockstep_core::gradient::{Engine, Step};
use lockstep_core::model::{Batch, Workspace};
use lockstep_core::run::spec::Wire;
use lockstep_core::threads::Threads;
use lockstep_core::tree::{Node, Tree};
use lockstep_proto::Payloads;
use lockstep_proto::message::{Explain, Explained, Found};
use tokio::sync::mpsc as async_mpsc;

use crate::arriving::Arriving;
use crate::compute::{self, Emitted};
use crate::prefetch::Prefetch;
use crate::session::{Input, Job};
use crate::task::{Task, Unfit, empty};
use crate::view::Observer;

/// One thing to compute.
#[derive(Debug)]
pub(crate) enum Order {
    Compute(Job),
    Evaluate { weights: Arc<Arriving>, pieces: Vec<u32> },
    Explain(Explain, Arc<Arriving>),
}

/// What the thread computes, as inputs of the session; an error is the last.
pub(crate) type Computed = async_mpsc::UnboundedReceiver<Result<Input, Unfit>>;

/// Starts the thread; it ends when the sender is dropped.
pub(crate) fn start(
    task: Task,
    threads: Threads,
    observer: Arc<Observer>,
) -> io::Result<(mpsc::Sender<Order>, Computed)> {
    let (orders, incoming) = mpsc::channel();
    let (outgoing, inputs) = async_mpsc::unbounded_channel();
    let prefetch = Prefetch::start(task.clone())?;
    let engine = Engine::new(task.model.clone(), threads);
    let workspace = Workspace::new(&task.model);
    let longest = task.chunks.iter().map(|range| range.len()).max().unwrap_or(0);
    let payloads = Payloads::new(4 * longest);
    let mut computer = Computer { task, engine, workspace, payloads, prefetch, outgoing, observer };
    thread::Builder::new().name("compute".into()).spawn(move || {
        for order in incoming {
            let done = match order {
                Order::Compute(job) => computer.compute(&job),
                Order::Evaluate { weights, pieces } => computer.evaluate(&weights, &pieces),
                Order::Explain(explain, weights) => computer.explain(explain, &weights),
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
    payloads: Payloads,
    prefetch: Prefetch,
    outgoing: async_mpsc::UnboundedSender<Result<Input, Unfit>>,
    observer: Arc<Observer>,
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
        let began = Instant::now();
        let mut batches = self.prefetch.take(job.step, shards.clone())?;
        let Self { engine, payloads, observer, .. } = self;
        let gathering = began.elapsed();
        observer.waited_for_rows.add(gathering);
        observer.step.store(job.step, Relaxed);
        observer.shards.store(shards.len() as u64, Relaxed);
        observer.rows.fetch_add(batches.iter().map(|batch| batch.rows as u64).sum(), Relaxed);
        let (mut waits, mut waited) = (began, Duration::ZERO);
        let emit = |emitted| match emitted {
            Emitted::Waits => waits = Instant::now(),
            Emitted::GoesOn => waited += waits.elapsed(),
            // The session is gone if nobody listens; the thread ends after this job.
            Emitted::Chunk(gradient) => drop(self.outgoing.send(Ok(Input::Chunk(gradient)))),
        };
        let finished = compute::run(engine, &self.task.chunks, payloads, step, job, &mut batches, emit);
        let computing = began.elapsed().saturating_sub(waited);
        observer.waited_for_weights.add(waited);
        observer.computed.add(computing.saturating_sub(gathering));
        let micros = u64::try_from(computing.as_micros()).unwrap_or(u64::MAX);
        // What was not finished measures nothing.
        let measured = if finished { shards.len() } else { 0 };
        self.prefetch.ahead(job.step.saturating_add(1), shards, batches);
        Ok(Input::Done { shards: measured as u32, micros })
    }

    fn evaluate(&mut self, weights: &Arriving, pieces: &[u32]) -> Result<Input, Unfit> {
        let began = Instant::now();
        let mut batch = empty();
        let mut sums = Vec::with_capacity(pieces.len());
        for &piece in pieces {
            if self.task.load_piece(piece, &mut batch)?.is_some() {
                let piece_sums =
                    evaluation::piece(&self.task.model, weights, &mut self.workspace, &mut batch);
                sums.push((piece, piece_sums));
                self.observer.rows.fetch_add(batch.rows as u64, Relaxed);
            }
        }
        self.observer.evaluated.add(began.elapsed());
        Ok(Input::Evaluated(sums))
    }

    /// Shard by shard, on rows that are gathered anew.
    fn explain(&mut self, of: Explain, weights: &Arriving) -> Result<Input, Unfit> {
        let Task { run, model, .. } = &self.task;
        let tree = Tree::new(run.cluster.shards);
        let (mut order, mut microbatch) = (self.task.order(), empty());
        let whole = weights.here() >= model.layers() && tree.contains(of.node);
        for shard in of.node.shards().filter(|shard| whole && *shard < tree.shards()) {
            let rows = self.task.rows_of(&mut order, of.step, shard);
            self.task.load_step(&mut order, of.step, shard, &mut microbatch)?;
            let batch = Batch { seed: run.seed, step: of.step, shard };
            let fault = diagnosis::find(model, weights, batch, &mut microbatch, &mut self.workspace);
            if let Some(Fault { place, row }) = fault {
                let row = row.and_then(|row| rows.get(row)).copied();
                let found = Found { shard, row, place: place.to_string() };
                return Ok(Input::Explained(Explained { of, found: Some(found) }));
            }
        }
        Ok(Input::Explained(Explained { of, found: None }))
    }
}
