//! The network: its layers with their shapes, and where their parameters lie in the flat vector.

mod build;
mod cost;
mod shapes;
#[cfg(test)]
mod tests;
mod weights;
mod workspace;

use std::ops::Range;
use std::sync::Arc;

use crate::layout::Layout;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::{Conv2d, Pooled};
use crate::ops::embedding::Embedding;
use crate::ops::layer_norm::LayerNorm;
use crate::ops::window::Window;
use crate::run::spec::{Activation, Init, Loss};

pub use shapes::{ShapeError, Target};
pub use weights::{Flat, Weights};
pub use workspace::{Batch, Labels, LinearGradient, Microbatch, Workspace};

/// A network whose shapes fit: the layers and their places in the parameter vector.
///
/// Layers are flat: a residual block is a fork, its layers and a join, so that forward and backward go
/// through a single list. PyTorch's names still show the nesting: the first layer of a block that is
/// layer 3 has `layers.3.0.weight`, as in an `nn.Sequential` whose forward adds its input.
#[derive(Clone, Debug)]
pub struct Model {
    layers: Vec<Layer>,
    /// Which of a row's values are indices: the first layer gives their vectors.
    embeddings: Arc<[Embedding]>,
    layout: Layout,
    loss: Loss,
    inputs: usize,
    outputs: usize,
}

/// One layer: what it does to rows of `inputs` values, giving rows of `outputs`.
#[derive(Clone, Debug)]
struct Layer {
    /// As errors name it; of several that are computed as one, all names.
    name: String,
    operation: Operation,
    inputs: usize,
    outputs: usize,
    /// The layer's part of the parameter vector, weights before biases; empty without parameters.
    parameters: Range<usize>,
    /// How many of them are weights.
    weights: usize,
}

/// What a layer costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Of the run file's layers it is or belongs to, such as `layers.3 (linear = 10)`.
    pub name: String,
    /// Values in a row before it.
    pub inputs: usize,
    /// Values in a row after it.
    pub outputs: usize,
    /// Its part of the parameter vector.
    pub parameters: usize,
    /// Multiplications with an addition for one row, forward.
    pub multiply_adds: u64,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    /// Of the model's embeddings; the first layer, if there are any.
    Embed,
    /// W \[outputs, inputs\], and an activation whose derivative is a function of its output.
    Linear(Init, Option<Activation>),
    /// W \[outputs, channels, kernel, kernel\]
    Conv2d(Conv2d, Init),
    /// The same, and max_pool at once.
    Pooled(Pooled, Init),
    LayerNorm(LayerNorm),
    /// Its running statistics are those of the layout with this number.
    BatchNorm {
        norm: BatchNorm,
        tracked: usize,
    },
    MaxPool(Window),
    AvgPool(Window),
    GlobalAvgPool {
        pixels: usize,
        channels: usize,
    },
    Flatten,
    /// Pictures from channels first to last, or back: rows of \[lines, columns\] to \[columns, lines\].
    Transpose {
        lines: usize,
        columns: usize,
    },
    Dropout(f64),
    Activation(Activation),
    /// Its input goes on to the next layer and to its join.
    Fork,
    /// Adds the input of the fork with this number.
    Join {
        fork: usize,
    },
}

impl Model {
    /// Where each tensor lies in the vector.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many layers there are, as they are computed: some of the run file's are several, some are one
    /// with the layer before.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// The part of the vector that belongs to a layer; empty if it has no parameters. The number past the
    /// last layer stands for all running statistics.
    pub fn parameters(&self, layer: usize) -> Range<usize> {
        self.layout.layer(layer)
    }

    /// (inputs, outputs) of a linear layer; `None` for other layers.
    pub fn linear(&self, layer: usize) -> Option<(usize, usize)> {
        let layer = self.layers.get(layer)?;
        matches!(layer.operation, Operation::Linear { .. }).then_some((layer.inputs, layer.outputs))
    }

    /// Values in a row after a layer.
    pub fn width_after(&self, layer: usize) -> usize {
        self.layers.get(layer).map_or(0, |layer| layer.outputs)
    }

    /// What is minimised.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// Values in one input row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Which of an input row's values are indices, in ascending order.
    pub fn embeddings(&self) -> &[Embedding] {
        &self.embeddings
    }

    /// Values in one output row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Multiplications with an addition for one row: (forward, forward and backward), those of products
    /// alone. Backward leaves out the input gradient of the first layer that has parameters, which nobody
    /// needs.
    pub fn multiply_adds(&self) -> (u64, u64) {
        let first = self.first_trained();
        let products = self.layers.iter().map(Layer::multiply_adds);
        products.enumerate().fold((0, 0), |(forward, both), (index, product)| {
            (forward + product, both + if index == first { 2 * product } else { 3 * product })
        })
    }

    /// What each layer costs, in the order in which they are computed.
    pub fn costs(&self) -> impl Iterator<Item = Cost> {
        self.layers.iter().map(|layer| Cost {
            name: layer.name.clone(),
            inputs: layer.inputs,
            outputs: layer.outputs,
            parameters: layer.parameters.len(),
            multiply_adds: layer.multiply_adds(),
        })
    }

    /// The first layer with parameters: backward ends there.
    fn first_trained(&self) -> usize {
        self.layers.iter().position(|layer| !layer.parameters.is_empty()).unwrap_or(self.layers.len())
    }

    /// W(0): each tensor from a random stream of its own; running means of 0 and variances of 1.
    pub fn initial_parameters(&self, seed: u64) -> Vec<f32> {
        let mut parameters = vec![0.0; self.layout.len()];
        for tracked in self.layout.statistics() {
            parameters[tracked.range.clone()][tracked.channels()..].fill(1.0);
        }
        let mut tensor = 0;
        for layer in self.layers.iter().filter(|layer| !layer.parameters.is_empty()) {
            if matches!(layer.operation, Operation::Embed) {
                for table in &self.layout.tensors()[..self.embeddings.len()] {
                    crate::init::embedding(seed, tensor, &mut parameters[table.range.clone()]);
                    tensor += 1;
                }
                continue;
            }
            let (weights, biases) = parameters[layer.parameters.clone()].split_at_mut(layer.weights);
            let (init, fan_in, fan_out) = match layer.operation {
                Operation::Linear(init, _) => (init, layer.inputs, layer.outputs),
                // A weight takes part in as many outputs as there are under the window.
                Operation::Conv2d(Conv2d { window, outputs }, init)
                | Operation::Pooled(Pooled { conv: Conv2d { window, outputs }, .. }, init) => {
                    (init, window.area(), outputs * window.kernel * window.kernel)
                }
                _ => {
                    weights.fill(1.0);
                    tensor += 2;
                    continue;
                }
            };
            crate::init::weight(init, seed, tensor, fan_in, fan_out, weights);
            tensor += 1;
            if !biases.is_empty() {
                crate::init::bias(init, seed, tensor, fan_in, biases);
                tensor += 1;
            }
        }
        parameters
    }
}

impl Layer {
    /// Those of products, for one row.
    fn multiply_adds(&self) -> u64 {
        match self.operation {
            Operation::Linear(..) => (self.inputs * self.outputs) as u64,
            Operation::Conv2d(conv, _) | Operation::Pooled(Pooled { conv, .. }, _) => {
                (conv.window.area() * conv.window.places() * conv.outputs) as u64
            }
            _ => 0,
        }
    }
}
