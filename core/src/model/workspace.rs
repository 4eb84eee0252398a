//! Forward and backward over one microbatch.

use crate::Float;
use crate::model::{Layer, Model, Operation};
use crate::ops::{activation, dropout, linear, loss};
use crate::random::{Purpose, stream};

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
}

/// dW = dyᵀ x, db = Σ dy over rows.
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
    /// A factor for each value, for each dropout layer; empty for the others.
    masks: Vec<Vec<T>>,
    /// dL/d(output of the layer at hand), and what becomes dL/d(its input).
    gradient: Vec<T>,
    previous: Vec<T>,
    losses: Vec<f64>,
    labels: Labels<T>,
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
                if !(layer.in_place() && (overwritable || matches!(layer.operation, Operation::Flatten))) {
                    slot += 1;
                }
                // A linear layer's own output is not read by its backward pass.
                overwritable = matches!(layer.operation, Operation::Linear { .. });
                slot
            })
            .collect();
        Self {
            rows: 0,
            slots: vec![Vec::new(); slot + 1],
            outputs,
            masks: vec![Vec::new(); model.layers.len()],
            gradient: Vec::new(),
            previous: Vec::new(),
            losses: Vec::new(),
            labels: Labels::Classes(Vec::new()),
        }
    }

    /// Takes the rows of a microbatch and leaves the memory of the one before.
    pub fn load(&mut self, microbatch: &mut Microbatch<T>) {
        self.rows = microbatch.rows;
        std::mem::swap(&mut self.slots[0], &mut microbatch.values);
        std::mem::swap(&mut self.labels, &mut microbatch.labels);
    }

    /// Rows in the microbatch at hand.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The last layer's output, \[rows, outputs\], after [`Self::forward`].
    pub fn output(&self) -> &[T] {
        &self.slots[self.slots.len() - 1]
    }

    /// What the rows should have given.
    pub fn labels(&self) -> &Labels<T> {
        &self.labels
    }

    /// All layers. Dropout drops only if `training` names the microbatch.
    pub fn forward(&mut self, model: &Model, parameters: &[T], training: Option<Batch>) {
        for index in 0..model.layers.len() {
            self.forward_layer(model, index, parameters, training);
        }
    }

    /// One layer, from its input's slot to its output's.
    pub fn forward_layer(&mut self, model: &Model, index: usize, parameters: &[T], training: Option<Batch>) {
        let layer = &model.layers[index];
        let to = self.outputs[index];
        let from = if index == 0 { 0 } else { self.outputs[index - 1] };
        resize(&mut self.slots[to], self.rows * layer.outputs);
        let (before, after) = self.slots.split_at_mut(to);
        let target = &mut after[0];
        let parameters = &parameters[layer.parameters.clone()];
        match layer.operation {
            Operation::Linear { .. } => {
                let (weight, bias) = layer.split(parameters);
                linear::forward(weight, bias, &before[from], target, self.rows, layer.inputs, layer.outputs);
            }
            Operation::Flatten => {}
            Operation::Activation(kind) if from == to => activation::forward_in_place(kind, target),
            Operation::Activation(kind) => activation::forward(kind, &before[from], target),
            Operation::Dropout(rate) => {
                target.copy_from_slice(&before[from]);
                let mask = &mut self.masks[index];
                mask.clear();
                if let Some(Batch { seed, step, shard }) = training {
                    mask.resize(target.len(), T::zero());
                    let mut random = stream(seed, Purpose::Dropout, index as u64, step, shard.into());
                    dropout::forward(rate, mask, &mut random, target);
                }
            }
        }
    }

    /// The rows' losses, and dL/d(output) for the backward pass. Returns Σ row losses, in row order.
    pub fn loss_and_gradient(&mut self, model: &Model) -> f64 {
        self.losses.resize(self.rows, 0.0);
        resize(&mut self.gradient, self.rows * model.outputs);
        let last = self.slots.len() - 1;
        let targets = self.labels.as_targets();
        loss::forward_backward(
            model.loss,
            &self.slots[last],
            targets,
            model.outputs,
            None,
            &mut self.losses,
            &mut self.gradient,
        );
        self.losses.iter().sum()
    }

    /// The rows' losses alone, for an evaluation.
    pub fn losses(&mut self, model: &Model) -> &[f64] {
        self.losses.resize(self.rows, 0.0);
        let last = self.slots.len() - 1;
        let targets = self.labels.as_targets();
        loss::forward(model.loss, &self.slots[last], targets, model.outputs, None, &mut self.losses);
        &self.losses
    }

    /// What a linear layer's gradient is made of, before its [`Self::backward_layer`]; `None` for other
    /// layers.
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
    /// latter: see [`Self::linear_gradient`].
    pub fn backward_layer(&mut self, model: &Model, index: usize, parameters: &[T], sums: &mut [T]) {
        let first = model.first_trained();
        if index < first {
            return;
        }
        let layer = &model.layers[index];
        let from = if index == 0 { 0 } else { self.outputs[index - 1] };
        let input = &self.slots[from];
        let output = &self.slots[self.outputs[index]];
        match layer.operation {
            Operation::Linear { .. } => {
                let parameters = &parameters[layer.parameters.clone()];
                let (rows, inputs, outputs) = (self.rows, layer.inputs, layer.outputs);
                if !sums.is_empty() {
                    let (dw, db) = layer.split_mut(sums);
                    linear::backward_parameters(&self.gradient, input, dw, db, rows, inputs, outputs);
                }
                if index > first {
                    resize(&mut self.previous, rows * inputs);
                    let (weight, _) = layer.split(parameters);
                    linear::backward_input(&self.gradient, weight, &mut self.previous, rows, inputs, outputs);
                    std::mem::swap(&mut self.gradient, &mut self.previous);
                }
            }
            Operation::Flatten => {}
            Operation::Activation(kind) => activation::backward(kind, input, output, &mut self.gradient),
            Operation::Dropout(_) => dropout::backward(&self.masks[index], &mut self.gradient),
        }
    }
}

impl Layer {
    fn in_place(&self) -> bool {
        match self.operation {
            Operation::Flatten => true,
            Operation::Activation(kind) => activation::derivative_from_output(kind),
            Operation::Linear { .. } | Operation::Dropout(_) => false,
        }
    }

    fn split<'a, T>(&self, parameters: &'a [T]) -> (&'a [T], Option<&'a [T]>) {
        let (weight, bias) = parameters.split_at(self.inputs * self.outputs);
        (weight, Some(bias).filter(|bias| !bias.is_empty()))
    }

    fn split_mut<'a, T>(&self, parameters: &'a mut [T]) -> (&'a mut [T], Option<&'a mut [T]>) {
        let (weight, bias) = parameters.split_at_mut(self.inputs * self.outputs);
        (weight, Some(bias).filter(|bias| !bias.is_empty()))
    }
}

/// Without clearing: every value is overwritten by whoever asked for the room.
fn resize<T: Float>(values: &mut Vec<T>, len: usize) {
    values.resize(len, T::zero());
}
