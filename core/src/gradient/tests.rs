use super::*;
use crate::model::{Labels, Target};
use crate::ops::embedding::Embedding;
use crate::random::{Purpose, stream};
use crate::run::spec::{self, Activation, Init, Layer, Loss};
use crate::statistics;

mod weights;

const SHARDS: u32 = 6;

fn model(loss: Loss, target: Target) -> Model {
    let linear = |outputs, bias| Layer::Linear { outputs, bias, init: Init::Torch };
    let outputs = match target {
        Target::Classes(classes) => classes,
        Target::Values(width) => width,
    };
    let layers = vec![
        Layer::Flatten,
        linear(9, true),
        Layer::Activation(Activation::Gelu),
        Layer::Dropout(0.25),
        linear(8, false),
        Layer::Activation(Activation::Tanh),
        linear(10, true),
        Layer::Activation(Activation::Relu),
        Layer::Dropout(0.1),
        linear(outputs, true),
    ];
    Model::new(&spec::Model { loss, layers }, &[3, 4], target).unwrap()
}

/// Windows, a residual block at the first trained layer and one whose input gradient goes on, running
/// statistics of pictures and of features.
fn pictures(target: usize) -> Model {
    let window = |kernel, stride, padding| spec::Window { kernel, stride, padding };
    let conv = |channels, stride| Layer::Conv2d {
        channels,
        window: window(3, stride, 1),
        bias: true,
        init: Init::Torch,
    };
    let batch_norm = |affine| Layer::BatchNorm { eps: 1e-2, momentum: 0.1, affine };
    let layers = vec![
        Layer::Residual(vec![conv(1, 1), Layer::Activation(Activation::Gelu)]),
        conv(4, 1),
        batch_norm(true),
        Layer::Activation(Activation::Relu),
        Layer::MaxPool(window(2, 1, 0)),
        Layer::Residual(vec![
            Layer::LayerNorm { eps: 1e-5 },
            Layer::Dropout(0.25),
            conv(4, 1),
            batch_norm(false),
        ]),
        Layer::AvgPool(window(2, 1, 1)),
        conv(5, 2),
        Layer::GlobalAvgPool,
        Layer::Flatten,
        batch_norm(true),
        Layer::Linear { outputs: target, bias: true, init: Init::Torch },
    ];
    let spec = spec::Model { loss: Loss::CrossEntropy, layers };
    Model::new(&spec, &[1, 3, 4], Target::Classes(target)).unwrap()
}

/// Columns of which two are indices.
fn embedded() -> Model {
    let of = |name: &str, place, values, width| Embedding { name: name.into(), place, values, width };
    let linear = |outputs| Layer::Linear { outputs, bias: true, init: Init::Torch };
    let layers = vec![Layer::Dropout(0.25), linear(5), Layer::Activation(Activation::Tanh), linear(4)];
    let embeddings = [of("a", 0, 3, 4), of("b", 3, 7, 2)];
    let spec = spec::Model { loss: Loss::CrossEntropy, layers };
    Model::embedding(&spec, &[5], &embeddings, Target::Classes(4)).unwrap()
}

/// Shard s has s + 1 rows, but the third none; those of the last three have weights, some of 0.
fn microbatches<T: Float>(model: &Model, classes: bool) -> Vec<Microbatch<T>> {
    let mut random = stream(5, Purpose::Fingerprint, 0, 0, 0);
    (0..SHARDS)
        .map(|shard| {
            let rows = if shard == 2 { 0 } else { shard as usize + 1 };
            let mut some = |len: usize| (0..len).map(|_| T::from_f64(random.normal())).collect::<Vec<T>>();
            let mut values = some(rows * model.inputs());
            for (row, x) in values.chunks_exact_mut(model.inputs()).enumerate() {
                let mut put = |of: &Embedding| x[of.place] = T::from_f64((row * row % of.values) as f64);
                model.embeddings().iter().for_each(&mut put);
            }
            let labels = if classes {
                Labels::Classes((0..rows as u32).map(|row| (row + shard) % model.outputs() as u32).collect())
            } else {
                Labels::Values(some(rows * model.outputs()))
            };
            let weight = |row: usize| T::from_f64(0.75 * (row % 3) as f64);
            let weights = if shard < 3 { Vec::new() } else { (0..rows).map(weight).collect() };
            Microbatch { shard, rows, values, labels, weights }
        })
        .collect()
}

fn step(wire: Wire) -> Step {
    Step { seed: 3, step: 11, tree: Tree::new(SHARDS), wire }
}

fn gradients<T: Float>(
    model: &Model,
    wire: Wire,
    weights: &[T],
    nodes: &[Node],
    threads: usize,
) -> Vec<(Node, Summary, Vec<T>)> {
    let mut engine = Engine::new(model.clone(), Threads::new(threads).unwrap());
    let mut result = Vec::new();
    let mut batches = microbatches(model, true);
    engine.compute(step(wire), nodes, weights, &mut batches, |nodes, _| {
        result = nodes.iter().map(|node| (node.node, node.summary, node.values.clone())).collect();
    });
    result
}

/// The rule that everything stands on: whoever computes which nodes, on however many threads, the root
/// has the same bits, once its nodes are summed in the tree.
#[test]
fn any_cut_of_the_tree_gives_the_same_root() {
    any_cut(&model(Loss::CrossEntropy, Target::Classes(4)));
    any_cut(&pictures(4));
    any_cut(&embedded());
}

fn any_cut(model: &Model) {
    let weights = model.initial_parameters(1);
    let tree = Tree::new(SHARDS);
    for wire in [Wire::F32, Wire::Bf16] {
        let (_, summary, root) = gradients(model, wire, &weights, &[tree.root()], 1).pop().unwrap();
        assert_eq!(summary.rows, 1 + 2 + 4 + 5 + 6);
        let cuts: [&[u32]; 4] = [&[0, 6], &[0, 4, 6], &[0, 2, 4, 5, 6], &[0, 3, 6]];
        for cut in cuts {
            for threads in [1, 3] {
                let nodes: Vec<Node> = cut.windows(2).flat_map(|ends| tree.cover(ends[0]..ends[1])).collect();
                let parts = gradients(model, wire, &weights, &nodes, threads);
                let sum = combine(model, step(wire), tree.root(), &parts).unwrap();
                assert_eq!(sum.0, summary, "{cut:?}");
                assert_eq!(sum.1, root, "{wire:?} {cut:?} on {threads} threads");
            }
        }
    }
}

/// The sum of a node, of parts that lie below it.
fn combine(
    model: &Model,
    step: Step,
    node: Node,
    parts: &[(Node, Summary, Vec<f32>)],
) -> Option<(Summary, Vec<f32>)> {
    if let Some((_, summary, values)) = parts.iter().find(|(part, ..)| *part == node) {
        return Some((*summary, values.clone()));
    }
    let (left, right) = node.children()?;
    let (left, right) = match (combine(model, step, left, parts), combine(model, step, right, parts)) {
        (Some(left), Some(right)) => (left, right),
        (one, other) => return one.or(other),
    };
    let mut values: Vec<f32> = left.1.iter().zip(&right.1).map(|(x, y)| x + y).collect();
    step.round(node, &mut values);
    let (layout, behind) = (model.layout(), model.layout().trained()..model.layout().len());
    values[behind.clone()].copy_from_slice(&left.1[behind.clone()]);
    let sum = (&mut values[behind.clone()], left.0.rows);
    statistics::combine(layout.statistics(), &behind, sum, (&right.1[behind.clone()], right.0.rows));
    Some((left.0 + right.0, values))
}

/// Σ row losses over all shards, by the forward pass alone.
fn loss(model: &Model, weights: &[f64], classes: bool) -> f64 {
    let mut workspace = Workspace::new(model);
    let batches = microbatches(model, classes).into_iter().filter(|batch| batch.rows > 0);
    batches
        .map(|mut batch| {
            let shard = batch.shard;
            workspace.load(&mut batch);
            workspace.forward(model, &Flat::new(model, weights), Some(Batch { seed: 3, step: 11, shard }));
            workspace.losses(model).iter().sum::<f64>()
        })
        .sum()
}

#[test]
fn the_gradient_agrees_with_finite_differences() {
    let losses = [
        (Loss::CrossEntropy, Target::Classes(4)),
        (Loss::MeanSquaredError, Target::Values(3)),
        (Loss::Huber { delta: 0.7 }, Target::Values(2)),
    ];
    let models = losses.map(|(kind, target)| (model(kind, target), matches!(target, Target::Classes(_))));
    for (model, classes) in models.into_iter().chain([(pictures(4), true), (embedded(), true)]) {
        let kind = model.loss();
        let mut weights: Vec<f64> = model.initial_parameters(2).into_iter().map(f64::from).collect();
        let mut engine = Engine::new(model.clone(), Threads::one());
        let mut sums = Vec::new();
        let root = Tree::new(SHARDS).root();
        engine.compute(step(Wire::F32), &[root], &weights, &mut microbatches(&model, classes), |nodes, _| {
            sums = nodes[0].values.clone();
        });
        let scale = sums.iter().fold(0.0f64, |most, sum| most.max(sum.abs()));
        for place in (0..model.layout().trained()).step_by(3) {
            let (width, value) = (1e-6, weights[place]);
            weights[place] = value + width;
            let above = loss(&model, &weights, classes);
            weights[place] = value - width;
            let below = loss(&model, &weights, classes);
            weights[place] = value;
            let difference = (above - below) / (2.0 * width);
            assert!(
                (sums[place] - difference).abs() <= 1e-6 * scale,
                "{kind:?} {place}: {} {difference}",
                sums[place]
            );
        }
    }
}

/// Whatever the shards, the step's statistics are those of all rows at once.
#[test]
fn statistics_are_those_of_the_whole_step() {
    let batch_norm = Layer::BatchNorm { eps: 1e-5, momentum: 0.1, affine: true };
    let layers = vec![batch_norm, Layer::Linear { outputs: 4, bias: true, init: Init::Torch }];
    let spec = spec::Model { loss: Loss::CrossEntropy, layers };
    let model = Model::new(&spec, &[5], Target::Classes(4)).unwrap();
    let weights: Vec<f64> = model.initial_parameters(1).into_iter().map(f64::from).collect();
    // What travels as f32 or bf16 is not what is rounded here.
    for wire in [Wire::F32, Wire::Bf16] {
        let (_, summary, values) =
            gradients(&model, wire, &weights, &[Tree::new(SHARDS).root()], 1).pop().unwrap();
        let rows: Vec<f64> = microbatches(&model, true).into_iter().flat_map(|batch| batch.values).collect();
        for (channel, found) in values[model.layout().trained()..].iter().take(5).enumerate() {
            let own: Vec<f64> = rows.iter().skip(channel).step_by(5).copied().collect();
            let mean = own.iter().sum::<f64>() / summary.rows as f64;
            let squares = own.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
            let deviations = values[model.layout().trained() + 5 + channel];
            assert!((found - mean).abs() < 1e-13 && (deviations - squares).abs() < 1e-12);
        }
    }
}

#[test]
fn f32_agrees_with_f64() {
    narrow_agrees_with_wide(&model(Loss::CrossEntropy, Target::Classes(4)));
    narrow_agrees_with_wide(&pictures(4));
    narrow_agrees_with_wide(&embedded());
}

fn narrow_agrees_with_wide(model: &Model) {
    let weights = model.initial_parameters(2);
    let exact: Vec<f64> = weights.iter().copied().map(f64::from).collect();
    let root = [Tree::new(SHARDS).root()];
    // The rows are drawn in f64 and rounded, so the two see rows that differ by half a unit.
    let (_, _, single) = gradients(model, Wire::F32, &weights, &root, 1).pop().unwrap();
    let (_, _, double) = gradients(model, Wire::F32, &exact, &root, 1).pop().unwrap();
    let scale = double.iter().fold(0.0f64, |most, sum| most.max(sum.abs()));
    for (single, double) in single.iter().zip(&double) {
        assert!((f64::from(*single) - double).abs() <= 1e-5 * scale);
    }
}

#[test]
fn nodes_without_rows_are_not_delivered() {
    let model = model(Loss::CrossEntropy, Target::Classes(4));
    let weights = model.initial_parameters(1);
    let nodes = [Node::leaf(2), Node::leaf(3)];
    let delivered = gradients(&model, Wire::F32, &weights, &nodes, 1);
    assert_eq!(delivered.iter().map(|(node, ..)| *node).collect::<Vec<_>>(), [Node::leaf(3)]);
}
