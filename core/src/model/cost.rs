//! What a row costs besides products.

use super::{Layer, Model, Operation};
use crate::ops::conv2d::{Conv2d, Pooled};

/// A row's loss and its derivative for one output: an exponential, in f64.
const LOSS: u64 = 16;

/// Drawing a random number.
const DRAW: u64 = 4;

impl Model {
    /// Values that a shard's backward pass goes over however many rows it has: the gradient of an
    /// embedding is a whole table, most of it zeros.
    pub fn swept_values(&self) -> u64 {
        let embed = |layer: &&Layer| matches!(layer.operation, Operation::Embed);
        self.layers.iter().filter(embed).map(|layer| SWEEPS * layer.parameters.len() as u64).sum()
    }

    /// Values that the passes between products read or write for one row: (forward, forward and
    /// backward). A pass in cache counts once for each value that it goes over.
    pub fn passed_values(&self) -> (u64, u64) {
        let first = self.first_trained();
        let layers = self.layers.iter().enumerate();
        let (forward, backward) = layers.fold((0, 0), |(forward, backward), (index, layer)| {
            let (ahead, back) = layer.passed_values(index == first);
            (forward + ahead, backward + if index < first { 0 } else { back })
        });
        let loss = LOSS * self.outputs as u64;
        (forward + loss, forward + loss + backward)
    }
}

/// How often a table's gradient is gone over for each shard: cleared, and added to that of the others.
const SWEEPS: u64 = 2;

impl Layer {
    /// Forward and backward; `first`: nobody needs the gradient of its input.
    fn passed_values(&self, first: bool) -> (u64, u64) {
        let (inputs, outputs) = (self.inputs as u64, self.outputs as u64);
        match self.operation {
            // The bias and the activation, and back.
            Operation::Linear(..) => (outputs, outputs),
            Operation::Conv2d(conv, _) => convolution(&conv, first),
            Operation::Pooled(Pooled { conv, pool }, _) => {
                let (forward, backward) = convolution(&conv, first);
                let between = pool.picture() as u64;
                (forward + between, backward + between)
            }
            Operation::MaxPool(_) | Operation::AvgPool(_) | Operation::GlobalAvgPool { .. } => {
                (inputs, inputs)
            }
            Operation::Transpose { .. } | Operation::Activation(_) | Operation::Join { .. } => {
                (outputs, outputs)
            }
            Operation::Dropout(_) => (DRAW * outputs, outputs),
            // Statistics, then what they normalise; in the backward pass, two sums more.
            Operation::LayerNorm(_) | Operation::BatchNorm { .. } => (2 * outputs, 4 * outputs),
            Operation::Embed => (outputs, outputs),
            Operation::Flatten | Operation::Fork => (0, 0),
        }
    }
}

/// Windows written out, in the forward pass and again in the backward pass, and their gradient added back.
fn convolution(conv: &Conv2d, first: bool) -> (u64, u64) {
    let (places, area) = (conv.window.places() as u64, conv.window.area() as u64);
    let outputs = places * conv.outputs as u64;
    (places * area + outputs, places * area * if first { 1 } else { 2 } + outputs)
}
