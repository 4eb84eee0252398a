//! The arithmetic of a job: gradients of nodes, cut into chunks as their layers are done.

use bytes::Bytes;
use lockstep_core::chunks::Chunks;
use lockstep_core::gradient::{Engine, Step};
use lockstep_core::model::Microbatch;
use lockstep_core::run::spec::Wire;
use lockstep_core::wire;
use lockstep_proto::message::Gradient;

use crate::session::Job;

/// Computes a job's nodes and emits every chunk as soon as all of its layers are done: chunks of the
/// last layers first, all nodes of one chunk before the next. The forward pass goes on as weights come;
/// if they stop coming, nothing is emitted.
pub fn run(
    engine: &mut Engine<f32>,
    chunks: &Chunks,
    step: Step,
    job: &Job,
    microbatches: &mut [Microbatch<f32>],
    mut emit: impl FnMut(Gradient) + Send,
) {
    engine.load(&job.nodes, microbatches);
    let layers = engine.model().layers();
    let mut done = 0;
    while done < layers {
        let Some(here) = job.weights.wait(done) else { return };
        // Behind the last layer lie running statistics, which training does not read.
        let here = here.min(layers);
        engine.forward(step, done..here, &*job.weights);
        done = here;
    }
    let layout = engine.model().layout().clone();
    let trained = layout.trained();
    let root = step.tree.root();
    let mut open = chunks.len();
    engine.backward(step, &*job.weights, |nodes, layer| {
        let done_from = layout.layer(layer).start;
        while let Some(chunk) = open.checked_sub(1) {
            let Some(range) = chunks.range(chunk).filter(|range| range.start >= done_from) else { break };
            for node in nodes {
                // The root and what rows are like are never rounded.
                let exact = node.node == root || range.start >= trained;
                let encoding = if exact { Wire::F32 } else { step.wire };
                emit(Gradient {
                    generation: job.generation,
                    step: job.step,
                    node: node.node,
                    chunk: chunk as u32,
                    summary: node.summary,
                    payload: encode(&node.values[range.clone()], encoding),
                });
            }
            open = chunk;
        }
    });
}

fn encode(values: &[f32], encoding: Wire) -> Bytes {
    let mut bytes = Vec::with_capacity(values.len() * wire::width(encoding));
    wire::encode(values, encoding, &mut bytes);
    bytes.into()
}
