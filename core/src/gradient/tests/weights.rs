//! Rows that count for more or less than one.

use super::*;
use crate::ops::check::close;

/// (inputs, rows by shard): x of four rows, two in the second shard.
const X: [&[f64]; 3] = [&[1.0, 2.0], &[0.0, -1.0, -0.5, 3.0], &[2.0, 0.25]];

/// The mean loss and the mean gradient of one linear layer.
fn mean(loss: Loss, target: Target, weights: &[f64], labels: [Labels<f64>; 3], by_row: &[f64]) -> Vec<f64> {
    let outputs = weights.len() / 3;
    let layers = vec![Layer::Linear { outputs, bias: true, init: Init::Torch }];
    let model = Model::new(&spec::Model { loss, layers }, &[2], target).unwrap();
    let mut by_row = by_row.iter().copied();
    let mut batches: Vec<Microbatch<f64>> = (0..3)
        .zip(X.into_iter().zip(labels))
        .map(|(shard, (x, labels))| {
            let rows = x.len() / 2;
            let weights = by_row.by_ref().take(rows).collect();
            Microbatch { shard, rows, values: x.to_vec(), labels, weights }
        })
        .collect();
    let tree = Tree::new(3);
    let mut found = Vec::new();
    Engine::new(model, Threads::one()).compute(
        Step { seed: 0, step: 0, tree, wire: Wire::F32 },
        &[tree.root()],
        weights,
        &mut batches,
        |nodes, _| {
            let NodeGradient { summary, values, .. } = &nodes[0];
            found = vec![summary.mean_loss()];
            found.extend(values.iter().map(|value| value / summary.divisor()));
        },
    );
    found
}

// import torch
// torch.set_default_dtype(torch.float64)
// f = torch.nn.functional
// x = torch.tensor([[1., 2.], [0., -1.], [-0.5, 3.], [2., 0.25]])
// w = torch.tensor([[0.5, -1.], [1.5, 0.25], [-0.75, 2.]], requires_grad=True)
// b = torch.tensor([0.125, -0.5, 0.25], requires_grad=True)
// t = torch.tensor([2, 0, 1, 0])
// loss = torch.nn.CrossEntropyLoss(weight=torch.tensor([0.5, 2., 3.]))(f.linear(x, w, b), t)
// loss.backward()
// print(loss.item(), w.grad.flatten().tolist(), b.grad.tolist())
// r = torch.tensor([0.5, 0., 2., 1.25])
// for each in (f.binary_cross_entropy_with_logits, f.mse_loss):
//     v = torch.tensor([[0.5, -1.]], requires_grad=True)
//     c = torch.tensor([0.125], requires_grad=True)
//     t = torch.tensor([[1.], [0.], [0.], [1.]])
//     loss = (r * each(f.linear(x, v, c), t, reduction="none")[:, 0]).sum() / r.sum()
//     loss.backward()
//     print(loss.item(), v.grad.flatten().tolist(), c.grad.tolist())
#[test]
fn means_are_those_of_pytorch() {
    let labels = |classes: [u32; 4]| {
        let [a, b, c, d] = classes;
        [vec![a], vec![b, c], vec![d]].map(Labels::Classes)
    };
    let found = mean(
        Loss::CrossEntropy,
        Target::Classes(3),
        &[0.5, -1.0, 1.5, 0.25, -0.75, 2.0, 0.125, -0.5, 0.25],
        labels([2, 0, 1, 0]),
        &[3.0, 0.5, 2.0, 0.5],
    );
    let expected = [
        2.615263965224265,
        -0.13809476633944537,
        0.0035099340937517765,
        0.36219069964013045,
        -0.8742961150987875,
        -0.2240959333006851,
        0.8707861810050358,
        -0.08180288260777265,
        -0.1950710051466114,
        0.2768738877543841,
    ];
    close("cross_entropy", &found, &expected, 1e-14);

    let by_row = [0.5, 0.0, 2.0, 1.25];
    let found = mean(
        Loss::BinaryCrossEntropy,
        Target::Classes(2),
        &[0.5, -1.0, 0.125],
        labels([1, 0, 0, 1]),
        &by_row,
    );
    let expected = [0.3524693894707518, -0.31379161258477367, -0.17002735707915792, -0.1820497728646157];
    close("binary_cross_entropy", &found, &expected, 1e-14);

    let values = [vec![1.0], vec![0.0, 0.0], vec![1.0]].map(Labels::Values);
    let found = mean(Loss::MeanSquaredError, Target::Values(1), &[0.5, -1.0, 0.125], values, &by_row);
    close("mean_squared_error", &found, &[5.965625, 0.8666666666666668, -11.2875, -4.05], 1e-14);
}

/// A mean over no weight is 0: not a number that is none, nor a step that is left out.
#[test]
fn rows_that_weigh_nothing_give_a_mean_of_zero() {
    let values = [vec![1.0], vec![0.0, 0.0], vec![1.0]].map(Labels::Values);
    let found = mean(Loss::MeanSquaredError, Target::Values(1), &[0.5, -1.0, 0.125], values, &[0.0; 4]);
    assert_eq!(found, [0.0; 4]);
    assert!(Summary::default().mean_loss().is_nan());
}

/// A run that gives all rows the weight 1 is the run without weights.
#[test]
fn weights_of_one_change_no_bit() {
    let model = model(Loss::CrossEntropy, Target::Classes(4));
    let parameters: Vec<f32> = model.initial_parameters(3);
    let computed = |weighted: bool| {
        let mut batches = microbatches(&model, true);
        for batch in &mut batches {
            batch.weights = if weighted { vec![1.0; batch.rows] } else { Vec::new() };
        }
        let mut found = None;
        let root = [Tree::new(SHARDS).root()];
        Engine::new(model.clone(), Threads::one()).compute(
            step(Wire::F32),
            &root,
            &parameters,
            &mut batches,
            |nodes, _| found = Some((nodes[0].summary, nodes[0].values.clone())),
        );
        found.unwrap()
    };
    assert_eq!(computed(true), computed(false));
}
