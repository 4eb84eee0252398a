//! The arithmetic of a job: gradients of nodes, cut into chunks as their layers are done.

use lockstep_core::chunks::Chunks;
use lockstep_core::gradient::{Engine, Step};
use lockstep_core::model::Microbatch;
use lockstep_core::run::spec::Wire;
use lockstep_core::wire;
use lockstep_proto::Payloads;
use lockstep_proto::message::Gradient;

use crate::session::Job;

/// What comes out of a job.
#[derive(Debug)]
pub enum Emitted {
    /// It waits for weights from now on.
    Waits,
    /// No longer.
    GoesOn,
    /// A chunk of a node's gradient.
    Chunk(Gradient),
}

/// Computes a job's nodes and emits every chunk as soon as all of its layers are done: chunks of the
/// last layers first, all nodes of one chunk before the next. The forward pass goes on as weights come;
/// if they stop coming, or nobody wants the gradient any more, nothing is emitted. Returns whether it was
/// finished.
pub fn run(
    engine: &mut Engine<f32>,
    chunks: &Chunks,
    payloads: &mut Payloads,
    step: Step,
    job: &Job,
    microbatches: &mut [Microbatch<f32>],
    mut emit: impl FnMut(Emitted) + Send,
) -> bool {
    engine.load(&job.nodes, microbatches);
    let layers = engine.model().layers();
    let mut done = 0;
    while done < layers {
        emit(Emitted::Waits);
        // Behind the last layer lie running statistics, which training does not read.
        let Some(here) = job.weights.wait(done) else { return false };
        let here = here.min(layers);
        emit(Emitted::GoesOn);
        engine.forward(step, done..here, &*job.weights);
        done = here;
        if job.weights.is_retired() {
            return false;
        }
    }
    let starts: Vec<usize> = (0..layers).map(|layer| engine.model().parameters(layer).start).collect();
    let trained = engine.model().layout().trained();
    let root = step.tree.root();
    let mut open = chunks.len();
    engine.backward(step, &*job.weights, |nodes, layer| {
        let done_from = starts.get(layer).copied().unwrap_or(usize::MAX);
        while let Some(chunk) = open.checked_sub(1) {
            let Some(range) = chunks.range(chunk).filter(|range| range.start >= done_from) else { break };
            for node in nodes {
                // The root and what rows are like are never rounded.
                let exact = node.node == root || range.start >= trained;
                let encoding = if exact { Wire::F32 } else { step.wire };
                let values = &node.values[range.clone()];
                emit(Emitted::Chunk(Gradient {
                    generation: job.generation,
                    step: job.step,
                    node: node.node,
                    chunk: chunk as u32,
                    summary: node.summary,
                    payload: payloads.make(values.len() * wire::width(encoding), |bytes| {
                        wire::write(values, encoding, bytes);
                    }),
                }));
            }
            open = chunk;
        }
    });
    true
}
