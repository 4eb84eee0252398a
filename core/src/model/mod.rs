//! The network: its layers with their shapes, and where their parameters lie in the flat vector.

mod shapes;
mod workspace;

use std::ops::Range;

use crate::layout::Layout;
use crate::run::spec::{self, Activation, Init, Loss};

pub use shapes::{ShapeError, Target};
pub use workspace::{Batch, Labels, LinearGradient, Microbatch, Workspace};

/// A network whose shapes fit: the layers and their places in the parameter vector.
#[derive(Clone, Debug)]
pub struct Model {
    layers: Vec<Layer>,
    layout: Layout,
    loss: Loss,
    inputs: usize,
    outputs: usize,
}

/// One layer: what it does to rows of `inputs` values, giving rows of `outputs`.
#[derive(Clone, Debug)]
struct Layer {
    operation: Operation,
    inputs: usize,
    outputs: usize,
    /// The layer's part of the parameter vector; empty without parameters.
    parameters: Range<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    /// W \[outputs, inputs\] lies first, then b \[outputs\] if there is one.
    Linear {
        bias: bool,
        init: Init,
    },
    Flatten,
    Dropout(f64),
    Activation(Activation),
}

impl Model {
    /// Checks that the layers fit the rows, each other and the loss.
    ///
    /// `sample` is the shape of one row, such as \[64\] or \[28, 28\].
    pub fn new(model: &spec::Model, sample: &[usize], target: Target) -> Result<Self, ShapeError> {
        let shapes = shapes::check(model, sample, target)?;
        let mut layout = Layout::default();
        let mut layers = Vec::with_capacity(model.layers.len());
        for (index, layer) in model.layers.iter().enumerate() {
            let (inputs, outputs) = (shapes[index], shapes[index + 1]);
            let start = layout.len();
            let operation = match *layer {
                spec::Layer::Linear { bias, init, .. } => {
                    layout.push(index, format!("layers.{index}.weight"), &[outputs, inputs]);
                    if bias {
                        layout.push(index, format!("layers.{index}.bias"), &[outputs]);
                    }
                    Operation::Linear { bias, init }
                }
                spec::Layer::Flatten => Operation::Flatten,
                spec::Layer::Dropout(rate) => Operation::Dropout(rate),
                spec::Layer::Activation(activation) => Operation::Activation(activation),
            };
            layers.push(Layer { operation, inputs, outputs, parameters: start..layout.len() });
        }
        let (inputs, outputs) = (shapes[0], shapes[model.layers.len()]);
        Ok(Self { layers, layout, loss: model.loss, inputs, outputs })
    }

    /// Where each tensor lies in the parameter vector.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// The part of the parameter vector that belongs to a layer; empty if it has none.
    pub fn parameters(&self, layer: usize) -> Range<usize> {
        self.layers.get(layer).map_or(0..0, |layer| layer.parameters.clone())
    }

    /// (inputs, outputs) of a linear layer; `None` for other layers.
    pub fn linear(&self, layer: usize) -> Option<(usize, usize)> {
        let layer = self.layers.get(layer)?;
        matches!(layer.operation, Operation::Linear { .. }).then_some((layer.inputs, layer.outputs))
    }

    /// What is minimised.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// Values in one input row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Values in one output row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Multiplications with an addition for one row: (forward, forward and backward). Backward leaves
    /// out the input gradient of the first layer that has parameters, which nobody needs.
    pub fn multiply_adds(&self) -> (u64, u64) {
        let products = self.layers.iter().enumerate().filter_map(|(index, layer)| match layer.operation {
            Operation::Linear { .. } => Some((index, (layer.inputs * layer.outputs) as u64)),
            _ => None,
        });
        let first = self.first_trained();
        products.fold((0, 0), |(forward, both), (index, product)| {
            (forward + product, both + if index == first { 2 * product } else { 3 * product })
        })
    }

    /// The first layer with parameters: backward ends there.
    fn first_trained(&self) -> usize {
        self.layers.iter().position(|layer| !layer.parameters.is_empty()).unwrap_or(self.layers.len())
    }

    /// W(0): each tensor from a random stream of its own.
    pub fn initial_parameters(&self, seed: u64) -> Vec<f32> {
        let mut parameters = vec![0.0; self.layout.len()];
        let mut tensor = 0;
        for layer in &self.layers {
            let Operation::Linear { bias, init } = layer.operation else { continue };
            let (weight, rest) =
                parameters[layer.parameters.clone()].split_at_mut(layer.inputs * layer.outputs);
            crate::init::weight(init, seed, tensor, layer.inputs, layer.outputs, weight);
            tensor += 1;
            if bias {
                crate::init::bias(init, seed, tensor, layer.inputs, rest);
                tensor += 1;
            }
        }
        parameters
    }
}
