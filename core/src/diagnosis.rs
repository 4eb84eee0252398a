//! Where a shard's numbers stop being finite: told to people after it has happened.

use std::fmt;

use crate::model::{Batch, Microbatch, Model, Weights, Workspace};

/// The first number of a shard that is not finite, in the order in which they are computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it is part of.
    pub place: Place,
    /// The first row that has one, counted within the microbatch; `None` if only a sum over rows has.
    pub row: Option<usize>,
}

/// What a number is part of; layers as the run file names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The rows as they were read.
    Inputs,
    /// A layer's weights, before the step.
    Weights(String),
    /// A layer's output.
    Output(String),
    /// What the rows are like to a layer with running statistics.
    Statistics(String),
    /// The rows' losses.
    Loss,
    /// dL/d(input of a layer), and dL/d(last output).
    Gradient(String),
    /// A layer's gradient, summed over rows.
    Sum(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inputs => write!(f, "the input"),
            Self::Weights(layer) => write!(f, "the weights of {layer}"),
            Self::Output(layer) => write!(f, "the output of {layer}"),
            Self::Statistics(layer) => write!(f, "a mean or squared deviation that {layer} measured"),
            Self::Loss => write!(f, "the loss"),
            Self::Gradient(layer) => write!(f, "the gradient that comes to {layer}"),
            Self::Sum(layer) => write!(f, "the gradient of {layer}, summed over rows,"),
        }
    }
}

/// Computes a shard's gradient once more, layer by layer, and looks at every number. `None`: all are
/// finite.
pub fn find(
    model: &Model,
    weights: &impl Weights<f32>,
    batch: Batch,
    microbatch: &mut Microbatch<f32>,
    workspace: &mut Workspace<f32>,
) -> Option<Fault> {
    let names: Vec<String> = model.costs().map(|cost| cost.name).collect();
    let name = |layer: usize| names.get(layer).cloned().unwrap_or_default();
    let fault = |place, row| Some(Fault { place, row });
    if let Some(row) = first(&microbatch.values, model.inputs()) {
        return fault(Place::Inputs, Some(row));
    }
    if let Some(layer) = (0..model.layers()).find(|layer| !finite(weights.layer(*layer))) {
        return fault(Place::Weights(name(layer)), None);
    }
    workspace.load(microbatch);
    for layer in 0..model.layers() {
        workspace.forward_layer(model, layer, weights, Some(batch));
        let (output, width) = workspace.layer_output(model, layer);
        if let Some(row) = first(output, width) {
            return fault(Place::Output(name(layer)), Some(row));
        }
    }
    for tracked in model.layout().statistics() {
        let mut measured = vec![0.0; tracked.range.len()];
        workspace.statistics(std::slice::from_ref(tracked), tracked.range.start, &mut measured);
        if !finite(&measured) {
            return fault(Place::Statistics(name(tracked.layer)), None);
        }
    }
    if let Some(row) = workspace.losses(model).iter().position(|loss| !loss.is_finite()) {
        return fault(Place::Loss, Some(row));
    }
    workspace.loss_and_gradient(model);
    let mut sums = Vec::new();
    for layer in (0..model.layers()).rev() {
        if let Some(row) = first(workspace.gradient(model.width_after(layer)), model.width_after(layer)) {
            return fault(Place::Gradient(name(layer)), Some(row));
        }
        sums.resize(model.parameters(layer).len(), 0.0);
        workspace.backward_layer(model, layer, weights.layer(layer), &mut sums);
        if !finite(&sums) {
            return fault(Place::Sum(name(layer)), None);
        }
    }
    None
}

fn finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// The first row with a number that is not finite.
fn first(values: &[f32], width: usize) -> Option<usize> {
    values.chunks_exact(width.max(1)).position(|row| !finite(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Flat, Labels, Target};
    use crate::run::spec::{self, Init, Layer, Loss};

    fn model() -> Model {
        let linear = |outputs| Layer::Linear { outputs, bias: false, init: Init::Zeros };
        let layers = vec![linear(2), Layer::Activation(spec::Activation::Relu), linear(1)];
        Model::new(&spec::Model { loss: Loss::MeanSquaredError, layers }, &[2], Target::Values(1)).unwrap()
    }

    fn found(weights: [f32; 6], values: [f32; 6], targets: [f32; 3]) -> Option<(String, Option<usize>)> {
        let model = model();
        let labels = Labels::Values(targets.to_vec());
        let mut microbatch =
            Microbatch { shard: 0, rows: 3, values: values.to_vec(), labels, weights: Vec::new() };
        let batch = Batch { seed: 1, step: 0, shard: 0 };
        let mut workspace = Workspace::new(&model);
        let fault = find(&model, &Flat::new(&model, &weights), batch, &mut microbatch, &mut workspace)?;
        Some((fault.place.to_string(), fault.row))
    }

    /// Each case is the first place where its numbers overflow.
    #[test]
    fn the_first_place_is_named() {
        let (ones, rows, none) = ([1.0; 6], [1.0; 6], [0.0; 3]);
        let some = |place: &str, row| Some((place.to_owned(), row));
        assert_eq!(found(ones, rows, none), None);
        let mut bad = rows;
        bad[4] = f32::NAN;
        assert_eq!(found(ones, bad, none), some("the input", Some(2)));
        let mut nan = ones;
        nan[5] = f32::INFINITY;
        assert_eq!(found(nan, rows, none), some("the weights of layers.2 (linear = 1)", None));
        let mut large = rows;
        large[2] = f32::MAX;
        large[3] = f32::MAX;
        assert_eq!(
            found(ones, large, none),
            some("the output of layers.0 (linear = 2), layers.1 (relu)", Some(1))
        );
        assert_eq!(found([0.0; 6], rows, [0.0, 3e38, 0.0]), some("the loss", Some(1)));
        // y is 2, and dL/dy · 1e30 is too large.
        let steep = [1e-30, 1e-30, 0.0, 0.0, 1e30, 0.0];
        assert_eq!(
            found(steep, rows, [0.0, 0.0, -1e9]),
            some("the gradient that comes to layers.0 (linear = 2), layers.1 (relu)", Some(2))
        );
        let steep = [1e20, 1e20, 1e20, 1e20, 0.0, 0.0];
        assert_eq!(
            found(steep, [1.0; 6], [1e19, 1e19, 1e19]),
            some("the gradient of layers.2 (linear = 1), summed over rows,", None)
        );
    }

    /// The layer's output is finite all the same: zero.
    #[test]
    fn statistics_that_overflow() {
        let batch_norm = Layer::BatchNorm { eps: 1e-5, momentum: 0.1, affine: false };
        let layers = vec![batch_norm, Layer::Linear { outputs: 1, bias: false, init: Init::Zeros }];
        let spec = spec::Model { loss: Loss::MeanSquaredError, layers };
        let model = Model::new(&spec, &[1], Target::Values(1)).unwrap();
        let weights = model.initial_parameters(0);
        let labels = Labels::Values(vec![0.0; 2]);
        let mut batch =
            Microbatch { shard: 0, rows: 2, values: vec![1e25, -1e25], labels, weights: Vec::new() };
        let at = Batch { seed: 0, step: 0, shard: 0 };
        let mut workspace = Workspace::new(&model);
        let found = find(&model, &Flat::new(&model, &weights), at, &mut batch, &mut workspace).unwrap();
        assert_eq!(found, Fault { place: Place::Statistics("layers.0 (batch_norm)".into()), row: None });
    }
}
