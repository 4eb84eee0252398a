//! What a machine's arithmetic is called, and what it computes.

use sha2::{Digest, Sha256};

use crate::blas;
use crate::gradient::{Engine, Step};
use crate::model::{Labels, Microbatch, Model, Target};
use crate::random::{Purpose, stream};
use crate::run::spec::Run;
use crate::threads::Threads;
use crate::tree::{Node, Tree};

/// Version of Lockstep's own arithmetic: raised when any bit of a result may change.
pub const VERSION: u32 = 1;

/// Rows of one piece of an evaluation.
pub const PIECE_ROWS: usize = 256;

/// This process's numerics, such as `x86-64/Haswell/1`. A library that multiplies on several threads
/// gives other bits, so their number then stands beside the kernel.
pub fn name() -> String {
    let kernel = blas::kernel();
    let arch = std::env::consts::ARCH.replace('_', "-");
    match blas::threads() {
        1 => format!("{arch}/{kernel}/{VERSION}"),
        threads => format!("{arch}/{kernel} on {threads} threads/{VERSION}"),
    }
}

/// Hash of one forward and backward pass of the run's own model on generated rows, for every size that
/// its microbatches have, and of this process's numerics.
///
/// `train_rows` bound a batch: one that is meant to be all rows may be any larger number. Two machines
/// with the same fingerprint compute the same bits for this run.
pub fn fingerprint(run: &Run, model: &Model, target: Target, train_rows: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(name());
    let weights = model.initial_parameters(run.seed);
    let mut engine = Engine::new(model.clone(), Threads::one());
    let (batch, shards) = (run.train.batch_size.min(train_rows), u64::from(run.cluster.shards.max(1)));
    let step = Step { seed: run.seed, step: 0, tree: Tree::new(1), wire: run.cluster.wire };
    for rows in [batch / shards, batch.div_ceil(shards), PIECE_ROWS as u64] {
        let mut microbatch = [generated(run.seed, model, target, rows)];
        let root = step.tree.root();
        engine.compute(step, &[root], &weights, &mut microbatch, |nodes, layer| {
            for node in nodes {
                hash.update(node.summary.loss.to_le_bytes());
                hash.update(bytemuck::cast_slice(&node.values[model.parameters(layer)]));
            }
        });
    }
    hash.finalize().into()
}

fn generated(seed: u64, model: &Model, target: Target, rows: u64) -> Microbatch<f32> {
    let mut random = stream(seed, Purpose::Fingerprint, 0, 0, 0);
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    let mut values: Vec<f32> = (0..rows * model.inputs()).map(|_| random.normal() as f32).collect();
    for (row, x) in values.chunks_exact_mut(model.inputs().max(1)).enumerate() {
        model.embeddings().iter().for_each(|of| x[of.place] = (row % of.values) as f32);
    }
    let labels = match target {
        Target::Classes(classes) => {
            Labels::Classes((0..rows).map(|row| (row % classes.max(1)) as u32).collect())
        }
        Target::Values(width) => Labels::Values((0..rows * width).map(|_| random.normal() as f32).collect()),
    };
    Microbatch { shard: Node::leaf(0).position, rows, values, labels, weights: Vec::new() }
}
