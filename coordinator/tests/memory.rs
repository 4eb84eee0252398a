//! Once a step has been like the others, the reducer allocates nothing, and encodes nothing twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use bytes::Bytes;
use lockstep_coordinator::reducer::{Output, Reducer, State};
use lockstep_core::chunks::{Chunks, Limits};
use lockstep_core::gradient::Summary;
use lockstep_core::layout::Layout;
use lockstep_core::optimizer::Optimizer;
use lockstep_core::run::{self, spec::Run};
use lockstep_core::tree::Node;
use lockstep_core::wire;
use lockstep_proto::message::{Down, Gradient};
use lockstep_proto::{Generation, Session};

const A: Session = Session::new(1, 1);
const B: Session = Session::new(1, 2);

/// Four shards on two workers.
const NODES: [(Session, Node); 2] =
    [(A, Node { level: 1, position: 0 }), (B, Node { level: 1, position: 1 })];

fn run(wire: &str, train: &str) -> Run {
    let text = format!(
        "data = {{ train = \"rows.csv\", target = \"y\" }}\nmodel = {{ loss = \"cross_entropy\", layers = [{{ linear = 2 }}] }}\n\
         [cluster]\nshards = 4\nwire = \"{wire}\"\n[train]\n{train}\n"
    );
    run::parse(&text, &[]).unwrap()
}

/// The messages of a step, as they come from the network: all nodes of one chunk before the next.
fn messages(run: &Run, chunks: &Chunks, step: u64) -> Vec<(Session, Gradient)> {
    let upload =
        (0..chunks.len()).rev().flat_map(|chunk| NODES.map(|(session, node)| (chunk, session, node)));
    let message = |(chunk, session, node): (usize, Session, Node)| {
        let mut bytes = Vec::new();
        let values: Vec<f32> = chunks.range(chunk).unwrap().map(|i| (i % 7) as f32 * 0.1).collect();
        wire::encode(&values, run.cluster.wire, &mut bytes);
        let gradient = Gradient {
            generation: Generation::new(1, 1),
            step,
            node,
            chunk: chunk as u32,
            summary: Summary { loss: 1.0, weight: 2.0, rows: 2 },
            payload: Bytes::from(bytes),
        };
        (session, gradient)
    };
    upload.map(message).collect()
}

/// Runs a step; how often it committed.
fn step(reducer: &mut Reducer, step: u64, messages: &[(Session, Gradient)]) -> u32 {
    reducer.begin(&[true; 4]);
    reducer.assign(&NODES.map(|(_, node)| node));
    for (session, message) in messages {
        reducer.gradient(*session, message).unwrap();
    }
    let mut commits = 0;
    // What is taken is dropped, as sockets do.
    while let Some(output) = reducer.poll_output() {
        commits += u32::from(matches!(output, Output::Committed(_)));
    }
    for (session, _) in NODES {
        reducer.release(session, step + 1);
    }
    commits
}

#[test]
fn a_later_step_allocates_nothing() {
    let mut layout = Layout::new();
    for (layer, elements) in [30_000, 50_000, 700].into_iter().enumerate() {
        layout.push(layer, format!("layers.{layer}.weight"), &[elements]);
    }
    let chunks = Chunks::within(&layout, Limits { longest: 8_000, tiny: 1_000, grain: 1_000 });
    for wire in ["f32", "bf16"] {
        let sgd = "optimizer = { sgd = { lr = 0.1, momentum = 0.9 } }";
        for train in [sgd, "optimizer = { adamw = {} }", "clip_norm = 0.5"] {
            let run = run(wire, train);
            let optimizer = Optimizer::new(run.train.optimizer, layout.len());
            let state = State::new(&run, &layout, 0, 1_000, vec![0.5; layout.len()], optimizer);
            let mut reducer = Reducer::new(&run, chunks.clone(), chunks.len() as u32, state);
            for (session, _) in NODES {
                reducer.attach(session);
            }
            while reducer.poll_output().is_some() {}
            let allocated = [0, 1, 2, 3].map(|number| {
                let messages = messages(&run, &chunks, number);
                allocation_counter::measure(|| assert_eq!(step(&mut reducer, number, &messages), 1))
            });
            assert!(allocated[0].count_total > 0, "the first step allocates, or nothing is counted");
            assert_eq!(allocated[3].count_total, 0, "{wire}, {train}: {:?}", allocated[3]);
        }
    }
}

/// However many workers come in a step, its weights are encoded once for all of them.
#[test]
fn workers_that_come_late_share_one_encoding() {
    let mut layout = Layout::new();
    layout.push(0, "layers.0.weight", &[3_000]);
    let chunks = Chunks::within(&layout, Limits { longest: 1_000, tiny: 100, grain: 100 });
    let run = run("f32", "");
    let optimizer = Optimizer::new(run.train.optimizer, layout.len());
    let state = State::new(&run, &layout, 0, 1_000, vec![0.5; layout.len()], optimizer);
    let mut reducer = Reducer::new(&run, chunks, 8, state);
    let mut places = std::collections::BTreeSet::new();
    let mut sent = Vec::new();
    for number in 0..5 {
        reducer.attach(Session::new(1, number));
        while let Some(output) = reducer.poll_output() {
            if let Output::Send(_, Down::Weights(weights)) = output {
                places.insert((weights.chunk, weights.payload.as_ptr()));
                sent.push(weights);
            }
        }
    }
    assert_eq!((sent.len(), places.len()), (15, 3));
}
