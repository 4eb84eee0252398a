//! Whole networks of pictures, against PyTorch.

use super::*;
use crate::run::spec::{self, Layer};
use crate::statistics;

fn conv(channels: usize, kernel: usize, stride: usize, padding: usize) -> Layer {
    let window = spec::Window { kernel, stride, padding };
    Layer::Conv2d { channels, window, bias: true, init: Init::Torch }
}

fn linear(outputs: usize) -> Layer {
    Layer::Linear { outputs, bias: true, init: Init::Torch }
}

const POOL: spec::Window = spec::Window { kernel: 2, stride: 2, padding: 0 };
const ONE: spec::Window = spec::Window { kernel: 1, stride: 1, padding: 0 };
const RELU: Layer = Layer::Activation(Activation::Relu);

fn model(layers: Vec<Layer>, sample: &[usize]) -> Model {
    let spec = spec::Model { loss: Loss::CrossEntropy, layers };
    Model::new(&spec, sample, Target::Classes(3)).unwrap()
}

/// A bit of everything, on pictures of two channels.
fn everything() -> Model {
    model(
        vec![
            conv(4, 3, 1, 1),
            RELU,
            Layer::MaxPool(POOL),
            Layer::Residual(vec![
                Layer::LayerNorm { eps: 1e-5 },
                conv(4, 3, 1, 1),
                Layer::Activation(Activation::Gelu),
                Layer::Residual(vec![RELU, conv(4, 1, 1, 0)]),
            ]),
            RELU,
            Layer::AvgPool(spec::Window { kernel: 2, stride: 1, padding: 1 }),
            Layer::Flatten,
            linear(6),
            Layer::Residual(vec![Layer::Activation(Activation::Tanh)]),
            linear(3),
        ],
        &[2, 6, 4],
    )
}

/// Deterministic, of about ±0.7, and the same in Python.
fn pattern(len: usize, step: usize) -> Vec<f64> {
    (0..len).map(|i| ((i * step) % 97) as f64 / 64.0 - 0.75).collect()
}

#[track_caller]
fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let far = found.iter().zip(expected).find(|(a, b)| (*a - *b).abs() > 1e-12 * b.abs().max(1.0));
    assert_eq!(far, None);
}

#[test]
fn names_and_places_are_those_of_pytorch() {
    let model = everything();
    let names: Vec<(&str, &[usize])> =
        model.layout().tensors().iter().map(|t| (t.name.as_str(), t.shape.as_slice())).collect();
    let expected: [(&str, &[usize]); 12] = [
        ("layers.0.weight", &[4, 2, 3, 3]),
        ("layers.0.bias", &[4]),
        ("layers.3.0.weight", &[4, 3, 2]),
        ("layers.3.0.bias", &[4, 3, 2]),
        ("layers.3.1.weight", &[4, 4, 3, 3]),
        ("layers.3.1.bias", &[4]),
        ("layers.3.3.1.weight", &[4, 4, 1, 1]),
        ("layers.3.3.1.bias", &[4]),
        ("layers.7.weight", &[6, 48]),
        ("layers.7.bias", &[6]),
        ("layers.9.weight", &[3, 6]),
        ("layers.9.bias", &[3]),
    ];
    assert_eq!(names, expected);
    let ends: Vec<usize> = model.layers.iter().map(|layer| layer.parameters.end).collect();
    assert!(ends.is_sorted() && ends.last() == Some(&model.layout().len()));
}

// import torch
// from torch import nn
// torch.set_default_dtype(torch.float64)
// class Residual(nn.Sequential):
//     def forward(self, x): return x + super().forward(x)
// m = nn.Sequential(
//     nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
//     Residual(nn.LayerNorm([4, 3, 2]), nn.Conv2d(4, 4, 3, padding=1), nn.GELU(),
//              Residual(nn.ReLU(), nn.Conv2d(4, 4, 1))),
//     nn.ReLU(), nn.AvgPool2d(2, 1, 1), nn.Flatten(), nn.Linear(48, 6), Residual(nn.Tanh()), nn.Linear(6, 3))
// pattern = lambda n, step: torch.arange(n).mul(step).remainder(97) / 64. - 0.75
// nn.utils.vector_to_parameters(pattern(sum(p.numel() for p in m.parameters()), 31), m.parameters())
// y = m(pattern(96, 53).reshape(2, 2, 6, 4))
// nn.functional.cross_entropy(y, torch.tensor([2, 0]), reduction="sum").backward()
// grad = torch.cat([p.grad.flatten() for p in m.parameters()])
// print(y.flatten().tolist(), grad[::61].tolist())
#[test]
fn logits_and_gradient_are_those_of_pytorch() {
    let model = everything();
    let parameters = pattern(model.layout().len(), 31);
    let labels = Labels::Classes(vec![2, 0]);
    let mut workspace = Workspace::new(&model);
    workspace.load(&mut Microbatch {
        shard: 0,
        rows: 2,
        values: pattern(96, 53),
        labels,
        weights: Vec::new(),
    });
    let weights = Flat::new(&model, &parameters);
    workspace.forward(&model, &weights, None);
    close(
        workspace.output(),
        &[
            5.678689618846461,
            4.870113789724236,
            4.061537960602014,
            3.415535407894575,
            3.1977217393837165,
            2.979908070872857,
        ],
    );
    workspace.loss_and_gradient(&model);
    let mut gradient = vec![0.0; parameters.len()];
    for layer in (0..model.layers()).rev() {
        let sums = &mut gradient[model.parameters(layer)];
        workspace.backward_layer(&model, layer, weights.layer(layer), sums);
    }
    let some: Vec<f64> = gradient.iter().step_by(61).copied().collect();
    close(
        &some,
        &[
            -0.08212933918270361,
            -0.43082845861515995,
            0.10039427566107084,
            -0.0020361659040171107,
            -0.044432380587853954,
            0.03038343476776647,
            0.03493591883265036,
            0.004414971270826726,
            0.04736024500284308,
            -0.01596805369542709,
        ],
    );
}

/// Two columns of four are indices.
fn embedded() -> Model {
    let of = |name: &str, place, values, width| Embedding { name: name.into(), place, values, width };
    let layers = vec![linear(4), RELU, linear(3)];
    let spec = spec::Model { loss: Loss::CrossEntropy, layers };
    let embeddings = [of("origin", 1, 4, 2), of("a \"b\"", 3, 3, 3)];
    Model::embedding(&spec, &[4], &embeddings, Target::Classes(3)).unwrap()
}

// import torch
// from torch import nn
// torch.set_default_dtype(torch.float64)
// a, b, m = nn.Embedding(4, 2), nn.Embedding(3, 3), nn.Sequential(nn.Linear(7, 4), nn.ReLU(), nn.Linear(4, 3))
// all = nn.ModuleList([a, b, m])
// pattern = lambda n, step: torch.arange(n).mul(step).remainder(97) / 64. - 0.75
// nn.utils.vector_to_parameters(pattern(sum(p.numel() for p in all.parameters()), 31), all.parameters())
// x = torch.tensor([[0.5, 2., -1., 0.], [0.25, 0., 2., 2.], [-1.5, 2., 0.75, 2.]])
// y = m(torch.cat([x[:, :1], a(x[:, 1].long()), x[:, 2:3], b(x[:, 3].long())], 1))
// nn.functional.cross_entropy(y, torch.tensor([2, 0, 1]), reduction="sum").backward()
// grad = torch.cat([p.grad.flatten() for p in all.parameters()])
// print(y.flatten().tolist(), grad[::6].tolist())
#[test]
fn embeddings_are_those_of_pytorch() {
    let model = embedded();
    let names: Vec<&str> = model.layout().tensors().iter().map(|of| of.name.as_str()).collect();
    assert_eq!(names[..3], ["embeddings.origin.weight", "embeddings.a \"b\".weight", "layers.0.weight"]);
    assert_eq!(model.layout().tensors()[0].shape, [4, 2]);
    let parameters = pattern(model.layout().len(), 31);
    let values = vec![0.5, 2.0, -1.0, 0.0, 0.25, 0.0, 2.0, 2.0, -1.5, 2.0, 0.75, 2.0];
    let mut workspace = Workspace::new(&model);
    let labels = Labels::Classes(vec![2, 0, 1]);
    workspace.load(&mut Microbatch { shard: 0, rows: 3, values, labels, weights: Vec::new() });
    let weights = Flat::new(&model, &parameters);
    workspace.forward(&model, &weights, None);
    close(
        workspace.output(),
        &[
            0.1277618408203125,
            0.8996009826660156,
            -0.8769264221191406,
            -0.14341354370117188,
            0.5428123474121094,
            -0.227752685546875,
            0.1413116455078125,
            0.9436378479003906,
            -0.9119300842285156,
        ],
    );
    workspace.loss_and_gradient(&model);
    let mut gradient = vec![0.0; parameters.len()];
    for layer in (0..model.layers()).rev() {
        let sums = &mut gradient[model.parameters(layer)];
        workspace.backward_layer(&model, layer, weights.layer(layer), sums);
    }
    close(
        &gradient.into_iter().step_by(6).collect::<Vec<f64>>(),
        &[
            -0.7036336720589451,
            0.0,
            0.0,
            0.0,
            -0.17859880880264936,
            0.41300974535612667,
            0.18720308168765049,
            0.08771179336689384,
            0.6363424311947019,
            0.019742590853832908,
            -0.5372746366469419,
        ],
    );
}

/// From the two tables on, each tensor has a stream of its own.
#[test]
fn each_table_is_drawn_on_its_own() {
    let model = embedded();
    let parameters = model.initial_parameters(5);
    let mut expected = vec![0.0; 8];
    crate::init::embedding(5, 0, &mut expected);
    assert_eq!(parameters[..8], expected);
    expected.resize(9, 0.0);
    crate::init::embedding(5, 1, &mut expected);
    assert_eq!(parameters[8..17], expected);
    expected.resize(28, 0.0);
    crate::init::weight(Init::Torch, 5, 2, 7, 4, &mut expected);
    assert_eq!(parameters[17..45], expected);
}

#[test]
fn embeddings_that_do_not_fit() {
    let spec = spec::Model { loss: Loss::CrossEntropy, layers: vec![linear(3)] };
    let fits = |embeddings: &[(usize, usize, usize)], sample: &[usize]| {
        let of = |&(place, values, width)| Embedding { name: "a".into(), place, values, width };
        let embeddings: Vec<Embedding> = embeddings.iter().map(of).collect();
        Model::embedding(&spec, sample, &embeddings, Target::Classes(3)).is_ok()
    };
    assert!(fits(&[(0, 1, 1), (1, 1 << 24, 1 << 16)], &[2]));
    let bad: [&[(usize, usize, usize)]; 6] = [
        &[(2, 1, 1)],
        &[(1, 1, 1), (1, 1, 1)],
        &[(1, 1, 1), (0, 1, 1)],
        &[(0, 0, 1)],
        &[(0, 1, 0)],
        &[(0, usize::MAX, 1)],
    ];
    assert!(bad.iter().all(|embeddings| !fits(embeddings, &[2])));
    assert!(!fits(&[(0, 1, 1)], &[2, 2]));
}

/// Between window layers, in a residual block and on features, with and without parameters.
fn normalised() -> Model {
    let batch_norm = |affine| Layer::BatchNorm { eps: 1e-5, momentum: 0.1, affine };
    model(
        vec![
            conv(4, 3, 1, 1),
            batch_norm(true),
            RELU,
            Layer::MaxPool(POOL),
            Layer::Residual(vec![conv(4, 3, 1, 1), batch_norm(false), Layer::Activation(Activation::Gelu)]),
            Layer::Flatten,
            linear(5),
            batch_norm(true),
            Layer::Activation(Activation::Tanh),
            linear(3),
        ],
        &[2, 6, 4],
    )
}

#[test]
fn running_statistics_come_behind_all_parameters() {
    let model = normalised();
    let tensors = model.layout().tensors();
    let names: Vec<(&str, &[usize])> =
        tensors.iter().map(|t| (t.name.as_str(), t.shape.as_slice())).skip(10).collect();
    let expected: [(&str, &[usize]); 8] = [
        ("layers.9.weight", &[3, 5]),
        ("layers.9.bias", &[3]),
        ("layers.1.running_mean", &[4]),
        ("layers.1.running_var", &[4]),
        ("layers.4.1.running_mean", &[4]),
        ("layers.4.1.running_var", &[4]),
        ("layers.7.running_mean", &[5]),
        ("layers.7.running_var", &[5]),
    ];
    assert_eq!(names, expected);
    let parameters = model.initial_parameters(1);
    let behind: Vec<f32> = [4, 4, 5].iter().flat_map(|n| [vec![0.0; *n], vec![1.0; *n]].concat()).collect();
    assert_eq!(parameters[model.layout().trained()..], behind);
    assert_eq!(parameters[model.layout().tensors()[2].range.clone()], [1.0; 4]);
}

// As above, with
// m = nn.Sequential(
//     nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
//     Residual(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4, affine=False), nn.GELU()),
//     nn.Flatten(), nn.Linear(24, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3))
// and afterwards
// running = torch.cat([b.flatten() for b in m.buffers() if b.dim()])
// m.eval()
// print(running.tolist(), m(pattern(96, 53).reshape(2, 2, 6, 4)).flatten().tolist())
#[test]
fn batch_norm_is_that_of_pytorch() {
    let model = normalised();
    let layout = model.layout();
    let trained = layout.trained();
    let mut parameters: Vec<f64> = model.initial_parameters(0).into_iter().map(f64::from).collect();
    parameters[..trained].copy_from_slice(&pattern(trained, 31));
    let mut workspace = Workspace::new(&model);
    let labels = Labels::Classes(vec![2, 0]);
    let batch = Microbatch { shard: 0, rows: 2, values: pattern(96, 53), labels, weights: Vec::new() };
    workspace.load(&mut batch.clone());
    workspace.forward(&model, &Flat::new(&model, &parameters), Some(Batch { seed: 0, step: 0, shard: 0 }));
    close(
        workspace.output(),
        &[
            -0.7998249063756122,
            -0.5022406973406426,
            0.5577054815837017,
            -1.0625397556627503,
            0.551397690925723,
            0.2524918783900065,
        ],
    );
    workspace.loss_and_gradient(&model);
    let mut gradient = vec![0.0; trained];
    for layer in (0..model.layers()).rev() {
        let sums = &mut gradient[model.parameters(layer)];
        workspace.backward_layer(&model, layer, &parameters[model.parameters(layer)], sums);
    }
    let some: Vec<f64> = gradient.iter().step_by(61).copied().collect();
    close(
        &some,
        &[
            0.00018299122340485752,
            0.0015119626785993136,
            0.00040814770811953505,
            7.285500567381806e-05,
            0.0018273585173527937,
            0.0010462349903885108,
            -0.28261591600805136,
        ],
    );

    let behind = trained..layout.len();
    let mut measured = vec![0.0; behind.len()];
    workspace.statistics(layout.statistics(), trained, &mut measured);
    let before = parameters.clone();
    let running = &mut parameters[behind.clone()];
    statistics::update(layout.statistics(), &behind, 2, &measured, &before[behind.clone()], running);
    close(
        running,
        &[
            -0.07538553873697917,
            -0.01997172037760417,
            0.02897898356119792,
            0.06929575602213542,
            1.0406820639545191,
            0.9866021321069265,
            0.9861807388167644,
            0.9217680597532515,
            -0.022584786362500844,
            -0.009415066249906984,
            -0.061635564990005456,
            0.0696393088116375,
            1.1099460864570094,
            1.2646301330416665,
            1.1096053719468975,
            1.1528791046662463,
            -0.024161561018558864,
            -0.01935465902394828,
            -0.1610609159076173,
            0.001186352017681902,
            0.005993254012292476,
            0.900666884864493,
            0.9289867489062047,
            0.904814379340479,
            0.9006496917593299,
            0.9288727691553273,
        ],
    );
    workspace.load(&mut batch.clone());
    workspace.forward(&model, &Flat::new(&model, &parameters), None);
    close(
        workspace.output(),
        &[
            -1.4065357718468114,
            0.10755521445440586,
            0.7968317609334337,
            -1.342181886133623,
            0.04108178268074744,
            0.8488560140727364,
        ],
    );
}

#[test]
fn pooling_comes_with_the_convolution_and_before_relu() {
    let widths = |layers: Vec<Layer>| -> Vec<usize> {
        let end = [Layer::Flatten, linear(3)];
        let model = model(layers.into_iter().chain(end).collect(), &[8, 8]);
        model.layers.iter().map(|layer| layer.outputs).collect()
    };
    // At the end the transpose before flatten, flatten, linear.
    assert_eq!(widths(vec![conv(4, 3, 1, 1), RELU, Layer::MaxPool(POOL)]), [64, 64, 64, 64, 3]);
    assert_eq!(widths(vec![RELU, Layer::MaxPool(POOL)]), [16, 16, 16, 3]);
    let twice = vec![conv(4, 3, 1, 1), Layer::MaxPool(POOL), Layer::MaxPool(POOL)];
    assert_eq!(widths(twice), [64, 16, 16, 16, 3]);
    // What a fork passes on is not touched.
    let fork = vec![conv(4, 3, 1, 1), Layer::Residual(vec![Layer::MaxPool(ONE)])];
    assert_eq!(widths(fork), [256, 256, 256, 256, 256, 256, 3]);
}

#[test]
fn costs_name_the_run_files_layers() {
    let model = model(vec![conv(4, 3, 1, 1), RELU, Layer::MaxPool(POOL), Layer::Flatten, linear(3)], &[8, 8]);
    let costs: Vec<Cost> = model.costs().collect();
    let names: Vec<&str> = costs.iter().map(|cost| cost.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "layers.0 (conv2d = 4), layers.2 (max_pool = 2)",
            "layers.1 (relu)",
            "layers.3 (flatten)",
            "layers.3 (flatten)",
            "layers.4 (linear = 3)",
        ]
    );
    assert_eq!((costs[0].parameters, costs[0].multiply_adds), (40, 64 * 9 * 4));
    assert_eq!((costs[4].inputs, costs[4].outputs, costs[4].multiply_adds), (64, 3, 192));
}

#[test]
fn multiply_adds_of_products() {
    let model = model(vec![conv(4, 3, 1, 1), conv(8, 3, 2, 1), Layer::Flatten, linear(3)], &[8, 8]);
    let (first, second, last) = (64 * 9 * 4, 16 * 36 * 8, 128 * 3);
    assert_eq!(model.multiply_adds(), (first + second + last, 2 * first + 3 * (second + last)));
}

#[test]
fn parameters_start_as_in_pytorch() {
    let model =
        model(vec![conv(16, 3, 1, 1), Layer::LayerNorm { eps: 1e-5 }, Layer::Flatten, linear(3)], &[2, 8, 8]);
    let parameters = model.initial_parameters(3);
    let of = |tensor: usize| &parameters[model.layout().tensors()[tensor].range.clone()];
    let bound = (1.0f32 / 18.0).sqrt();
    let most = of(0).iter().fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(most <= bound && most > 0.95 * bound, "{most}");
    assert!(of(1).iter().all(|value| value.abs() <= bound) && of(1)[0] != of(0)[0]);
    assert!(of(2).iter().all(|value| *value == 1.0) && of(3).iter().all(|value| *value == 0.0));
    // Tensor 4 has a stream of its own.
    let mut expected = vec![0.0; of(4).len()];
    crate::init::weight(Init::Torch, 3, 4, 1024, 3, &mut expected);
    assert_eq!(of(4), expected);
}
