//! Forward and backward over one microbatch.

use crate::Float;
use crate::model::{Layer, Model, Operation, Weights};
use crate::ops::conv2d::pooled;
use crate::ops::{
    activation, avg_pool, batch_norm, conv2d, dropout, embedding, global_avg_pool, layer_norm, linear, loss,
    max_pool, room, transpose,
};
use crate::random::{Purpose, stream};
use crate::simd;
use crate::statistics::Tracked;

/// Which microbatch: names its random streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The run's seed.
    pub seed: u64,
    /// The step, counted through the run.
    pub step: u64,
    /// The shard.
    pub shard: u32,
}

/// What the rows should have given; classes or numbers, a row after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels<T> {
    /// A class number a row.
    Classes(Vec<u32>),
    /// `outputs` numbers a row.
    Values(Vec<T>),
}

impl<T> Labels<T> {
    /// For the losses.
    pub fn as_targets(&self) -> loss::Targets<'_, T> {
        match self {
            Self::Classes(classes) => loss::Targets::Classes(classes),
            Self::Values(values) => loss::Targets::Values(values),
        }
    }
}

/// Rows of one shard, decoded and ready to be computed on.
#[derive(Clone, Debug, PartialEq)]
pub struct Microbatch<T> {
    /// The shard; of no meaning in an evaluation.
    pub shard: u32,
    /// How many rows; with none, the shard is absent from the step.
    pub rows: usize,
    /// \[rows, inputs\]
    pub values: Vec<T>,
    /// What the rows should give.
    pub labels: Labels<T>,
    /// What each row's loss counts for; empty: 1 each.
    pub weights: Vec<T>,
}

/// dW = dyᵀ x
#[derive(Clone, Copy, Debug)]
pub struct LinearGradient<'a, T> {
    /// \[rows, outputs\]
    pub dy: &'a [T],
    /// \[rows, inputs\]
    pub x: &'a [T],
    /// How many rows.
    pub rows: usize,
}

/// The values of one microbatch between the layers. Grows to the largest microbatch seen, then
/// allocates nothing.
///
/// ```text
/// slot 0 ──linear──▶ slot 1 ──relu, in place──▶ slot 1 ──linear──▶ slot 2 ─▶ loss
/// ```
#[derive(Debug)]
pub struct Workspace<T> {
    rows: usize,
    /// What layers read and write; `slots[0]` is the input.
    slots: Vec<Vec<T>>,
    /// The slot that holds a layer's output.
    outputs: Vec<usize>,
    /// What a layer's forward pass leaves for its backward pass.
    kept: Vec<Kept<T>>,
    /// Room on the side of convolutions.
    scratch: conv2d::Scratch<T>,
    /// dL/d(output of the layer at hand), and room for dL/d(its input); both only grow.
    gradient: Vec<T>,
    previous: Vec<T>,
    losses: Vec<f64>,
    labels: Labels<T>,
    weights: Vec<T>,
}

#[derive(Clone, Debug, Default)]
struct Kept<T> {
    /// Dropout's factors, a norm's statistics; for a fork, dL/d(output of its join).
    values: Vec<T>,
    /// Where max_pool found its values, also that of a convolution.
    taps: Vec<u32>,
}

impl<T: Float> Workspace<T> {
    /// For a model; no rows yet.
    pub fn new(model: &Model) -> Self {
        let mut slot = 0;
        let mut overwritable = false;
        let outputs = model
            .layers
            .iter()
            .map(|layer| {
                let passes = matches!(layer.operation, Operation::Flatten | Operation::Fork);
                if !(passes || overwritable && layer.in_place()) {
                    slot += 1;
                }
                overwritable = !layer.output_is_read();
                slot
            })
            .collect();
        Self {
            rows: 0,
            slots: vec![Vec::new(); slot + 1],
            outputs,
            kept: vec![Kept::default(); model.layers.len()],
            scratch: conv2d::Scratch::default(),
            gradient: Vec::new(),
            previous: Vec::new(),
            losses: Vec::new(),
            labels: Labels::Classes(Vec::new()),
            weights: Vec::new(),
        }
    }

    /// Takes the rows of a microbatch and leaves the memory of the one before.
    pub fn load(&mut self, microbatch: &mut Microbatch<T>) {
        self.rows = microbatch.rows;
        std::mem::swap(&mut self.slots[0], &mut microbatch.values);
        std::mem::swap(&mut self.labels, &mut microbatch.labels);
        std::mem::swap(&mut self.weights, &mut microbatch.weights);
    }

    /// Rows in the microbatch at hand.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Σ of the rows' weights, in row order.
    pub fn weight(&self) -> f64 {
        match self.weights.as_slice() {
            [] => self.rows as f64,
            weights => weights.iter().map(|weight| weight.to_f64()).sum(),
        }
    }

    /// The last layer's output, \[rows, outputs\], after [`Self::forward`].
    pub fn output(&self) -> &[T] {
        &self.slots[self.slots.len() - 1]
    }

    /// A layer's output, and its width, right after the layer's forward pass: the next one may take its
    /// place.
    pub fn layer_output(&self, model: &Model, index: usize) -> (&[T], usize) {
        let width = model.width_after(index);
        (&self.slots[self.outputs[index]][..self.rows * width], width)
    }

    /// dL/d(what is \[rows, width\]), during the backward pass.
    pub fn gradient(&self, width: usize) -> &[T] {
        &self.gradient[..self.rows * width]
    }

    /// What the rows should have given.
    pub fn labels(&self) -> &Labels<T> {
        &self.labels
    }

    /// All layers. Dropout drops, and batch_norm normalises by the rows at hand, only if `training` names
    /// the microbatch.
    pub fn forward(&mut self, model: &Model, weights: &impl Weights<T>, training: Option<Batch>) {
        for index in 0..model.layers.len() {
            self.forward_layer(model, index, weights, training);
        }
    }

    /// One layer with its parameters, from its input's slot to its output's.
    pub fn forward_layer(
        &mut self,
        model: &Model,
        index: usize,
        weights: &impl Weights<T>,
        training: Option<Batch>,
    ) {
        let layer = &model.layers[index];
        let to = self.outputs[index];
        let from = if index == 0 { 0 } else { self.outputs[index - 1] };
        resize(&mut self.slots[to], self.rows * layer.outputs);
        let (before, after) = self.slots.split_at_mut(to);
        let target = &mut after[0];
        let kept = &mut self.kept[index];
        let (weight, bias) = layer.split(weights.layer(index));
        match layer.operation {
            Operation::Embed => {
                embedding::forward(&model.embeddings, weight, &before[from], target, layer.inputs);
            }
            Operation::Linear(_, activation) => {
                linear::forward(weight, &before[from], target, self.rows, layer.inputs, layer.outputs);
                linear::finish(bias, activation, target);
            }
            Operation::Conv2d(conv, _) => {
                conv2d::forward(&conv, weight, bias, &before[from], target, &mut self.scratch);
            }
            Operation::Pooled(layer, _) => {
                kept.taps.resize(target.len(), 0);
                let output = (target.as_mut_slice(), kept.taps.as_mut_slice());
                pooled::forward(&layer, weight, bias, &before[from], output, &mut self.scratch);
            }
            Operation::LayerNorm(norm) => {
                resize(&mut kept.values, 2 * self.rows);
                let bias = bias.unwrap_or_default();
                layer_norm::forward(&norm, weight, bias, &before[from], target, &mut kept.values);
            }
            Operation::BatchNorm { norm, tracked } => {
                let (bias, input) = (bias.unwrap_or_default(), &before[from]);
                if training.is_some() {
                    resize(&mut kept.values, 2 * norm.channels);
                    batch_norm::forward(&norm, weight, bias, input, target, &mut kept.values);
                } else {
                    let behind = model.layout.trained();
                    let tracked = &model.layout.statistics()[tracked];
                    let running = tracked.split(behind, weights.layer(model.layers()));
                    batch_norm::evaluate(&norm, weight, bias, running, input, target);
                }
            }
            Operation::MaxPool(window) => {
                kept.taps.resize(target.len(), 0);
                max_pool::forward(&window, &before[from], target, &mut kept.taps);
            }
            Operation::AvgPool(window) => avg_pool::forward(&window, &before[from], target),
            Operation::GlobalAvgPool { pixels, channels } => {
                global_avg_pool::forward(&before[from], target, pixels, channels);
            }
            Operation::Transpose { lines, columns } => {
                transpose::transpose(&before[from], target, lines, columns);
            }
            Operation::Flatten | Operation::Fork => {}
            Operation::Join { fork } => {
                if from != to {
                    target.copy_from_slice(&before[from]);
                }
                add(&before[self.outputs[fork]], target);
            }
            Operation::Activation(kind) if from == to => activation::forward_in_place(kind, target),
            Operation::Activation(kind) => activation::forward(kind, &before[from], target),
            Operation::Dropout(rate) => {
                target.copy_from_slice(&before[from]);
                let mask = &mut kept.values;
                mask.clear();
                if let Some(Batch { seed, step, shard }) = training {
                    mask.resize(target.len(), T::zero());
                    let mut random = stream(seed, Purpose::Dropout, index as u64, step, shard.into());
                    dropout::forward(rate, mask, &mut random, target);
                }
            }
        }
    }

    /// The rows' losses, each times its weight, and dL/d(output) for the backward pass. Returns Σ row
    /// losses, in row order.
    pub fn loss_and_gradient(&mut self, model: &Model) -> f64 {
        self.losses.resize(self.rows, 0.0);
        let gradient = room(&mut self.gradient, self.rows * model.outputs);
        let last = self.slots.len() - 1;
        let targets = self.labels.as_targets();
        let weights = (!self.weights.is_empty()).then_some(self.weights.as_slice());
        loss::forward_backward(
            model.loss,
            &self.slots[last],
            targets,
            model.outputs,
            weights,
            &mut self.losses,
            gradient,
        );
        self.losses.iter().sum()
    }

    /// The rows' losses alone, each times its weight, for an evaluation.
    pub fn losses(&mut self, model: &Model) -> &[f64] {
        self.losses.resize(self.rows, 0.0);
        let last = self.slots.len() - 1;
        let targets = self.labels.as_targets();
        let weights = (!self.weights.is_empty()).then_some(self.weights.as_slice());
        loss::forward(model.loss, &self.slots[last], targets, model.outputs, weights, &mut self.losses);
        &self.losses
    }

    /// What the rows are like, after a forward pass in training: overwrites `statistics`, of the length of
    /// the model's running statistics, from `start` in the vector on.
    pub fn statistics(&self, tracked: &[Tracked], start: usize, statistics: &mut [T]) {
        for Tracked { layer, range, .. } in tracked {
            statistics[range.start - start..range.end - start].copy_from_slice(&self.kept[*layer].values);
        }
    }

    /// The first part of a linear layer's backward pass: its activation's, and its bias's sums over
    /// rows, empty without one. After it, [`Self::linear_gradient`] and [`Self::backward_layer`] without
    /// sums are the rest.
    pub fn backward_finish(&mut self, model: &Model, index: usize, bias_sums: &mut [T]) {
        let layer = &model.layers[index];
        let Operation::Linear(_, activation) = layer.operation else { return };
        let output = &self.slots[self.outputs[index]];
        let gradient = &mut self.gradient[..self.rows * layer.outputs];
        let bias_sums = Some(bias_sums).filter(|sums| !sums.is_empty());
        linear::backward_finish(activation, output, gradient, bias_sums);
    }

    /// What a linear layer's weight gradient is made of, after [`Self::backward_finish`]; `None` for
    /// other layers.
    pub fn linear_gradient(&self, model: &Model, index: usize) -> Option<LinearGradient<'_, T>> {
        let (inputs, outputs) = model.linear(index)?;
        let from = index.checked_sub(1).map_or(0, |before| self.outputs[before]);
        let rows = self.rows;
        Some(LinearGradient {
            dy: &self.gradient[..rows * outputs],
            x: &self.slots[from][..rows * inputs],
            rows,
        })
    }

    /// One layer, from the last to the first: overwrites `sums`, the layer's part of the gradient (Σ
    /// over rows), and turns dL/d(output) into dL/d(input). Without `sums`, of a linear layer, only the
    /// latter: see [`Self::backward_finish`].
    pub fn backward_layer(&mut self, model: &Model, index: usize, parameters: &[T], sums: &mut [T]) {
        let first = model.first_trained();
        if index < first {
            return;
        }
        let layer = &model.layers[index];
        let from = if index == 0 { 0 } else { self.outputs[index - 1] };
        let (input, output) = (&self.slots[from], &self.slots[self.outputs[index]]);
        let (weight, _) = layer.split(parameters);
        let without = sums.is_empty();
        let (weight_sums, bias_sums) = if without { (sums, None) } else { layer.split_mut(sums) };
        let (rows, inputs, outputs) = (self.rows, layer.inputs, layer.outputs);
        let (kept, scratch) = (&mut self.kept, &mut self.scratch);
        let gradient = &mut self.gradient[..rows * outputs];
        let previous = room(&mut self.previous, rows * inputs);
        // Whether dL/d(input) is in `previous`, not in the place of dL/d(output).
        let moved = match layer.operation {
            Operation::Embed => {
                embedding::backward(&model.embeddings, gradient, input, weight_sums, inputs);
                false
            }
            Operation::Linear(_, activation) => {
                if !without {
                    linear::backward_finish(activation, output, gradient, bias_sums);
                    linear::backward_weight(gradient, input, weight_sums, rows, inputs, outputs);
                }
                if index > first {
                    linear::backward_input(gradient, weight, previous, rows, inputs, outputs);
                }
                true
            }
            Operation::Conv2d(conv, _) => {
                let dx = (index > first).then_some(previous);
                conv2d::backward(&conv, gradient, weight, input, weight_sums, bias_sums, dx, scratch);
                true
            }
            Operation::Pooled(layer, _) => {
                let dx = (index > first).then_some(previous);
                let dy = (&*gradient, kept[index].taps.as_slice());
                pooled::backward(&layer, dy, weight, input, weight_sums, bias_sums, dx, scratch);
                true
            }
            Operation::LayerNorm(norm) => {
                let (statistics, bias_sums) = (&kept[index].values, bias_sums.unwrap_or_default());
                layer_norm::backward_parameters(&norm, gradient, input, statistics, weight_sums, bias_sums);
                if index > first {
                    layer_norm::backward_input(&norm, weight, input, statistics, gradient);
                }
                false
            }
            Operation::BatchNorm { norm, .. } => {
                let sums = bias_sums.map(|bias_sums| (weight_sums, bias_sums));
                batch_norm::backward(&norm, weight, input, &kept[index].values, gradient, sums);
                false
            }
            Operation::MaxPool(window) => {
                max_pool::backward(&window, gradient, &kept[index].taps, previous);
                true
            }
            Operation::AvgPool(window) => {
                avg_pool::backward(&window, gradient, previous);
                true
            }
            Operation::GlobalAvgPool { pixels, channels } => {
                global_avg_pool::backward(gradient, previous, pixels, channels);
                true
            }
            Operation::Transpose { lines, columns } => {
                transpose::transpose(gradient, previous, columns, lines);
                true
            }
            Operation::Flatten => false,
            Operation::Fork => {
                add(&kept[index].values, gradient);
                false
            }
            Operation::Join { fork } => {
                resize(&mut kept[fork].values, gradient.len());
                kept[fork].values.copy_from_slice(gradient);
                false
            }
            Operation::Activation(kind) => {
                activation::backward(kind, input, output, gradient);
                false
            }
            Operation::Dropout(_) => {
                dropout::backward(&kept[index].values, gradient);
                false
            }
        };
        if moved {
            std::mem::swap(&mut self.gradient, &mut self.previous);
        }
    }
}

impl Layer {
    /// Whether the output may take the place of the input.
    fn in_place(&self) -> bool {
        match self.operation {
            Operation::Activation(kind) => activation::derivative_from_output(kind),
            Operation::Join { .. } => true,
            _ => false,
        }
    }

    /// Whether somebody other than the next layer reads the output: the layer's own backward pass, or, of
    /// those whose output is their input, somebody before or the join.
    fn output_is_read(&self) -> bool {
        match self.operation {
            Operation::Activation(kind) | Operation::Linear(_, Some(kind)) => {
                activation::derivative_from_output(kind)
            }
            Operation::Flatten | Operation::Fork => true,
            _ => false,
        }
    }

    fn split<'a, T>(&self, parameters: &'a [T]) -> (&'a [T], Option<&'a [T]>) {
        let (weight, bias) = parameters.split_at(self.weights);
        (weight, Some(bias).filter(|bias| !bias.is_empty()))
    }

    fn split_mut<'a, T>(&self, parameters: &'a mut [T]) -> (&'a mut [T], Option<&'a mut [T]>) {
        let (weight, bias) = parameters.split_at_mut(self.weights);
        (weight, Some(bias).filter(|bias| !bias.is_empty()))
    }
}

/// Without clearing: every value is overwritten by whoever asked for the room.
fn resize<T: Float>(values: &mut Vec<T>, len: usize) {
    values.resize(len, T::zero());
}

fn add<T: Float>(values: &[T], sums: &mut [T]) {
    simd::wide(
        #[inline(always)]
        || {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += *value;
            }
        },
    );
}
