//! Once a step has been like the others, a gradient is computed without an allocation.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use lockstep_core::gradient::{Engine, Step};
use lockstep_core::model::{Flat, Labels, Microbatch, Model, Target};
use lockstep_core::run::spec::{self, Activation, Init, Layer, Loss, Window, Wire};
use lockstep_core::threads::Threads;
use lockstep_core::tree::{Node, Tree};

const SHARDS: u32 = 4;
const CLASSES: usize = 10;

fn linear(outputs: usize) -> Layer {
    Layer::Linear { outputs, bias: true, init: Init::Torch }
}

fn mlp() -> (Model, usize) {
    let relu = Layer::Activation(Activation::Relu);
    let layers = vec![linear(600), relu.clone(), Layer::Dropout(0.1), linear(70), relu, linear(CLASSES)];
    let model = spec::Model { loss: Loss::CrossEntropy, layers };
    (Model::new(&model, &[300], Target::Classes(CLASSES)).unwrap(), 300)
}

fn cnn() -> (Model, usize) {
    let conv = |channels| Layer::Conv2d {
        channels,
        window: Window { kernel: 3, stride: 1, padding: 1 },
        bias: true,
        init: Init::Torch,
    };
    let pool = Layer::MaxPool(Window { kernel: 2, stride: 2, padding: 0 });
    let relu = Layer::Activation(Activation::Relu);
    let layers = vec![
        conv(8),
        relu.clone(),
        pool.clone(),
        Layer::Residual(vec![Layer::LayerNorm { eps: 1e-5 }, conv(8)]),
        conv(16),
        relu.clone(),
        pool,
        Layer::Flatten,
        linear(32),
        relu,
        linear(CLASSES),
    ];
    let model = spec::Model { loss: Loss::CrossEntropy, layers };
    (Model::new(&model, &[1, 12, 12], Target::Classes(CLASSES)).unwrap(), 144)
}

fn microbatches(inputs: usize) -> Vec<Microbatch<f32>> {
    let microbatch = |shard: u32| {
        let rows = 6 + shard as usize;
        let values = (0..rows * inputs).map(|i| (i % 11) as f32 * 0.1 - 0.5).collect();
        let labels = Labels::Classes((0..rows as u32).map(|row| row % CLASSES as u32).collect());
        Microbatch { shard, rows, values, labels, weights: Vec::new() }
    };
    (0..SHARDS).map(microbatch).collect()
}

#[test]
fn a_later_step_allocates_nothing() {
    for (name, (model, inputs)) in [("mlp", mlp()), ("cnn", cnn())] {
        for wire in [Wire::F32, Wire::Bf16] {
            let tree = Tree::new(SHARDS);
            let nodes: Vec<Node> = [tree.cover(0..3), tree.cover(3..4)].concat();
            let weights = model.initial_parameters(1);
            let weights = Flat::new(&model, &weights);
            let mut engine = Engine::new(model.clone(), Threads::one());
            let mut delivered = 0;
            let allocated = [0, 1, 2, 3].map(|number| {
                let step = Step { seed: 1, step: number, tree, wire };
                let mut microbatches = microbatches(inputs);
                allocation_counter::measure(|| {
                    engine.load(&nodes, &mut microbatches);
                    engine.forward(step, 0..model.layers(), &weights);
                    engine.backward(step, &weights, |nodes, _| delivered += nodes.len());
                })
            });
            assert!(delivered > 0 && allocated[0].count_total > 0);
            assert_eq!(allocated[3].count_total, 0, "{name}, {wire:?}: {:?}", allocated[3]);
        }
    }
}
