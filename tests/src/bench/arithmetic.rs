//! The arithmetic of a run's workers alone: no coordinator, no sockets, all workers at once.

use std::path::Path;
use std::sync::Barrier;

use anyhow::{Result, anyhow};
use lockstep_coordinator::assemble;
use lockstep_coordinator::datasets::Datasets;
use lockstep_coordinator::machine::assign;
use lockstep_core::gradient::{Engine, Step};
use lockstep_core::model::{Flat, Labels, Microbatch, Model};
use lockstep_core::run::{self, spec::Run};
use lockstep_core::threads::Threads;
use lockstep_core::tree::{Node, Tree};
use lockstep_proto::Session;

use super::{median, thread_seconds};

/// Steps before those that are timed, and steps that are.
const WARM_UP: usize = 2;
const TIMES: usize = 7;

/// Seconds of a step of the slowest worker.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Arithmetic {
    /// All layers.
    pub forward: f64,
    /// The loss and the gradient.
    pub backward: f64,
}

/// A run file's network.
#[derive(Debug)]
pub struct Loaded {
    /// The run.
    pub run: Run,
    /// Its network.
    pub model: Model,
}

/// Reads the run file in `folder`, and as much of its data as the network needs.
///
/// # Errors
/// Bad run file or data.
pub fn load(folder: &Path) -> Result<Loaded> {
    let run = run::parse(&std::fs::read_to_string(folder.join("run.toml"))?, &[])?;
    let prepared = lockstep_data::load(&run.data, lockstep_data::Goal::of(&run), run.seed, folder)?;
    let model = assemble::model(&run, &Datasets::new(prepared))?;
    Ok(Loaded { run, model })
}

/// The nodes of each of so many workers.
pub fn shares(run: &Run, workers: u32) -> Vec<Vec<Node>> {
    let alike: Vec<(Session, u64)> = (1..=workers).map(|number| (Session::new(1, number), 1)).collect();
    assign(Tree::new(run.cluster.shards), &alike).into_iter().map(|(_, nodes)| nodes).collect()
}

/// Times the workers' steps, all workers at once, each on a thread of its own.
///
/// # Errors
/// A worker's thread panics.
pub fn measure(loaded: &Loaded, workers: u32) -> Result<Arithmetic> {
    let shares = shares(&loaded.run, workers);
    let barrier = Barrier::new(shares.len());
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            shares.iter().map(|nodes| scope.spawn(|| worker(loaded, nodes, &barrier))).collect();
        let mut slowest = Arithmetic::default();
        for worker in workers {
            let Arithmetic { forward, backward } =
                worker.join().map_err(|_| anyhow!("a worker's thread panics"))?;
            slowest.forward = slowest.forward.max(forward);
            slowest.backward = slowest.backward.max(backward);
        }
        Ok(slowest)
    })
}

fn worker(loaded: &Loaded, nodes: &[Node], barrier: &Barrier) -> Arithmetic {
    let Loaded { run, model } = loaded;
    let tree = Tree::new(run.cluster.shards);
    let weights = model.initial_parameters(run.seed);
    let step = Step { seed: run.seed, step: 0, tree, wire: run.cluster.wire };
    let rows = (run.train.batch_size / u64::from(tree.shards())) as usize;
    let shards = nodes.iter().flat_map(|node| node.shards()).filter(|shard| *shard < tree.shards());
    let mut microbatches: Vec<_> = shards.map(|shard| microbatch(model, shard, rows)).collect();
    let mut engine = Engine::new(model.clone(), Threads::one());
    engine.load(nodes, &mut microbatches);
    let weights = Flat::new(model, &weights);
    let (mut forward, mut backward) = (Vec::new(), Vec::new());
    for _ in 0..WARM_UP + TIMES {
        forward.push(timed(barrier, || engine.forward(step, 0..model.layers(), &weights)));
        backward.push(timed(barrier, || engine.backward(step, &weights, |_, _| ())));
    }
    let middle = |seconds: Vec<f64>| median(seconds.into_iter().skip(WARM_UP).collect());
    Arithmetic { forward: middle(forward), backward: middle(backward) }
}

fn microbatch(model: &Model, shard: u32, rows: usize) -> Microbatch<f32> {
    let mut values: Vec<f32> =
        (0..rows * model.inputs()).map(|i| (i * 7 % 101) as f32 / 101.0 - 0.5).collect();
    for (row, x) in values.chunks_exact_mut(model.inputs().max(1)).enumerate() {
        model.embeddings().iter().for_each(|of| x[of.place] = (row * 7 % of.values) as f32);
    }
    let classes = model.outputs() as u32;
    let labels = if classes > 1 {
        Labels::Classes((0..rows as u32).map(|row| row % classes).collect())
    } else {
        Labels::Values((0..rows).map(|row| (row % 2) as f32).collect())
    };
    Microbatch { shard, rows, values, labels, weights: Vec::new() }
}

/// Core-seconds, from a moment at which all workers begin.
fn timed(barrier: &Barrier, work: impl FnOnce()) -> f64 {
    barrier.wait();
    let start = thread_seconds();
    work();
    thread_seconds() - start
}
