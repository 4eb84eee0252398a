//! The arithmetic of a job: gradients of nodes, cut into chunks as their layers are done.

use std::time::{Duration, Instant};

use lockstep_core::chunks::Chunks;
use lockstep_core::gradient::{Engine, Step};
use lockstep_core::model::Microbatch;
use lockstep_core::run::spec::Wire;
use lockstep_core::wire;
use lockstep_proto::Payloads;
use lockstep_proto::message::Gradient;

use crate::session::Job;

/// Computes a job's nodes and emits every chunk as soon as all of its layers are done: chunks of the
/// last layers first, all nodes of one chunk before the next. The forward pass goes on as weights come;
/// if they stop coming, or nobody wants the gradient any more, nothing is emitted. Returns how long it
/// waited for weights; `None` if it was not finished.
pub fn run(
    engine: &mut Engine<f32>,
    chunks: &Chunks,
    payloads: &mut Payloads,
    step: Step,
    job: &Job,
    microbatches: &mut [Microbatch<f32>],
    mut emit: impl FnMut(Gradient) + Send,
) -> Option<Duration> {
    engine.load(&job.nodes, microbatches);
    let layers = engine.model().layers();
    let mut done = 0;
    let mut waited = Duration::ZERO;
    while done < layers {
        let began = Instant::now();
        // Behind the last layer lie running statistics, which training does not read.
        let here = job.weights.wait(done)?.min(layers);
        waited += began.elapsed();
        engine.forward(step, done..here, &*job.weights);
        done = here;
        if job.weights.is_retired() {
            return None;
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
                emit(Gradient {
                    generation: job.generation,
                    step: job.step,
                    node: node.node,
                    chunk: chunk as u32,
                    summary: node.summary,
                    payload: payloads.make(values.len() * wire::width(encoding), |bytes| {
                        wire::write(values, encoding, bytes);
                    }),
                });
            }
            open = chunk;
        }
    });
    Some(waited)
}
