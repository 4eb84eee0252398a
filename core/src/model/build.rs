//! From the run file's layers to those that are computed, in the order in which they are computed.
//!
//! A picture's channels come first in the data, in the parameters and for the layers that take a row as
//! it is (flatten, layer_norm); the window layers and batch_norm take them last. Where the two meet, and the picture has
//! several channels and pixels, a transpose goes between.

use super::shapes::{self, ShapeError, Target, width};
use super::{Layer, Model, Operation};
use crate::layout::Layout;
use crate::ops::activation::derivative_from_output;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::{Conv2d, Pooled};
use crate::ops::embedding::{self, Embedding};
use crate::ops::layer_norm::LayerNorm;
use crate::ops::window::Window;
use crate::run::spec::{self, Activation};
use crate::statistics::Tracked;

impl Model {
    /// Checks that the layers fit the rows, each other and the loss.
    ///
    /// `sample` is the shape of one row, such as \[64\] or \[28, 28\]; \[height, width\] is a picture of one
    /// channel.
    pub fn new(model: &spec::Model, sample: &[usize], target: Target) -> Result<Self, ShapeError> {
        Self::embedding(model, sample, &[], target)
    }

    /// As [`Self::new`]; some of a row's values are indices, in ascending order of their places. Their
    /// vectors stand in for them, with the row's other numbers, before the first layer.
    pub fn embedding(
        model: &spec::Model,
        sample: &[usize],
        embeddings: &[Embedding],
        target: Target,
    ) -> Result<Self, ShapeError> {
        if model.layers.is_empty() {
            return Err(ShapeError::NoLayers);
        }
        let mut builder = Builder {
            layers: Vec::with_capacity(model.layers.len()),
            layout: Layout::default(),
            tracked: Vec::new(),
            shape: sample.to_vec(),
            before: "the data".to_owned(),
            name: String::new(),
            channels: Channels::First,
        };
        shapes::check_embeddings(embeddings, sample)?;
        builder.embed(embeddings)?;
        builder.layers(&model.layers, "layers")?;
        builder.arrange(Channels::First);
        let Builder { layers, mut layout, tracked, shape, before, .. } = builder;
        if layout.is_empty() {
            return Err(ShapeError::NoParameters);
        }
        for (path, tracked) in tracked {
            layout.track(layers.len(), &path, tracked);
        }
        shapes::check_loss(model.loss, width(&shape), target, before)?;
        Ok(Self {
            layers,
            embeddings: embeddings.into(),
            layout,
            loss: model.loss,
            inputs: width(sample),
            outputs: width(&shape),
        })
    }
}

/// Where a picture's channels lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Channels {
    /// \[channels, height, width\], as shapes are written.
    First,
    /// \[height, width, channels\]
    Last,
}

/// The layers so far, and the rows that the next one takes.
struct Builder {
    layers: Vec<Layer>,
    layout: Layout,
    /// By path: running statistics, which come behind all parameters.
    tracked: Vec<(String, Tracked)>,
    shape: Vec<usize>,
    channels: Channels,
    /// Who gives them, for errors.
    before: String,
    /// The layer at hand.
    name: String,
}

impl Builder {
    fn embed(&mut self, embeddings: &[Embedding]) -> Result<(), ShapeError> {
        if embeddings.is_empty() {
            return Ok(());
        }
        self.name = shapes::embeddings_name(embeddings);
        for Embedding { name, values, width, .. } in embeddings {
            self.tensor("embeddings", &format!("{name}.weight"), &[*values, *width]);
        }
        if self.layout.len() > usize::MAX >> 16 {
            return Err(ShapeError::TooLarge { layer: self.name.clone() });
        }
        let outputs = embedding::outputs(embeddings, width(&self.shape));
        self.push(Operation::Embed, vec![outputs]);
        // All of them are weights, not the first tensor alone.
        self.layers.iter_mut().for_each(|layer| layer.weights = layer.parameters.len());
        self.before = self.name.clone();
        Ok(())
    }

    fn layers(&mut self, layers: &[spec::Layer], path: &str) -> Result<(), ShapeError> {
        for (index, layer) in layers.iter().enumerate() {
            let path = format!("{path}.{index}");
            let name = format!("{path} ({})", shapes::name(layer));
            self.name.clone_from(&name);
            match layer {
                spec::Layer::Residual(layers) => self.residual(layers, &path, &name)?,
                _ => self.layer(layer, &path, &name)?,
            }
            self.before = name;
        }
        Ok(())
    }

    fn residual(&mut self, layers: &[spec::Layer], path: &str, name: &str) -> Result<(), ShapeError> {
        let (before, shape, channels) = (self.before.clone(), self.shape.clone(), self.channels);
        let fork = self.layers.len();
        self.push(Operation::Fork, shape.clone());
        self.layers(layers, path)?;
        if self.shape != shape {
            return Err(ShapeError::Residual {
                layer: name.to_owned(),
                before,
                shape,
                last: self.before.clone(),
                output: self.shape.clone(),
            });
        }
        self.name = name.to_owned();
        self.arrange(channels);
        self.push(Operation::Join { fork }, shape);
        Ok(())
    }

    fn layer(&mut self, layer: &spec::Layer, path: &str, name: &str) -> Result<(), ShapeError> {
        let output = shapes::output(layer, name, &self.before, &self.shape)?;
        let inputs = width(&self.shape);
        match *layer {
            spec::Layer::Linear { outputs, bias, init } => {
                self.tensor(path, "weight", &[outputs, inputs]);
                if bias {
                    self.tensor(path, "bias", &[outputs]);
                }
                self.push(Operation::Linear(init, None), output);
            }
            spec::Layer::Conv2d { channels, window, bias, init } => {
                self.arrange(Channels::Last);
                let window = self.window(window);
                let kernel = window.kernel;
                self.tensor(path, "weight", &[channels, window.channels, kernel, kernel]);
                if bias {
                    self.tensor(path, "bias", &[channels]);
                }
                self.push(Operation::Conv2d(Conv2d { window, outputs: channels }, init), output);
            }
            spec::Layer::LayerNorm { eps } => {
                self.arrange(Channels::First);
                let shape = self.shape.clone();
                self.tensor(path, "weight", &shape);
                self.tensor(path, "bias", &shape);
                self.push(Operation::LayerNorm(LayerNorm { width: inputs, eps }), output);
            }
            spec::Layer::BatchNorm { eps, momentum, affine } => {
                self.arrange(Channels::Last);
                let channels = shapes::picture(&self.shape).map_or(inputs, |[channels, ..]| channels);
                if affine {
                    self.tensor(path, "weight", &[channels]);
                    self.tensor(path, "bias", &[channels]);
                }
                let values = (inputs / channels) as u64;
                let layer = self.layers.len();
                let tracked = Tracked { layer, range: 0..2 * channels, values, momentum };
                let norm = BatchNorm { channels, eps };
                self.push(Operation::BatchNorm { norm, tracked: self.tracked.len() }, output);
                self.tracked.push((path.to_owned(), tracked));
            }
            spec::Layer::MaxPool(window) => self.max_pool(window, output),
            spec::Layer::AvgPool(window) => {
                self.arrange(Channels::Last);
                let window = self.window(window);
                self.push(Operation::AvgPool(window), output);
            }
            spec::Layer::GlobalAvgPool => {
                self.arrange(Channels::Last);
                let channels = output[0];
                self.push(Operation::GlobalAvgPool { pixels: inputs / channels.max(1), channels }, output);
            }
            spec::Layer::Flatten => {
                self.arrange(Channels::First);
                self.push(Operation::Flatten, output);
            }
            spec::Layer::Dropout(rate) => self.push(Operation::Dropout(rate), output),
            spec::Layer::Activation(activation) => self.activation(activation, output),
            spec::Layer::Residual(_) => {}
        }
        if self.layout.len() > usize::MAX >> 16 {
            return Err(ShapeError::TooLarge { layer: name.to_owned() });
        }
        Ok(())
    }

    /// What a linear layer's output alone is needed for is done as it is finished.
    fn activation(&mut self, activation: Activation, output: Vec<usize>) {
        match self.layers.last_mut() {
            Some(layer @ &mut Layer { operation: Operation::Linear(init, None), .. })
                if derivative_from_output(activation) =>
            {
                layer.name = format!("{}, {}", layer.name, self.name);
                layer.operation = Operation::Linear(init, Some(activation));
            }
            _ => self.push(Operation::Activation(activation), output),
        }
    }

    /// relu and max_pool give the same values and gradients in either order, so relu is left for after
    /// pooling, where there are fewer values. A convolution before them is then pooled as it is computed.
    fn max_pool(&mut self, window: spec::Window, output: Vec<usize>) {
        self.arrange(Channels::Last);
        let pool = self.window(window);
        let relu =
            self.layers.pop_if(|layer| matches!(layer.operation, Operation::Activation(Activation::Relu)));
        match self.layers.last_mut() {
            Some(layer @ &mut Layer { operation: Operation::Conv2d(conv, init), .. }) => {
                layer.name = format!("{}, {}", layer.name, self.name);
                layer.operation = Operation::Pooled(Pooled { conv, pool }, init);
                layer.outputs = width(&output);
                self.shape = output.clone();
            }
            _ => self.push(Operation::MaxPool(pool), output.clone()),
        }
        if let Some(relu) = relu {
            self.name = relu.name;
            self.push(relu.operation, output);
        }
    }

    /// Puts the channels of the rows at hand where the next layer takes them.
    fn arrange(&mut self, channels: Channels) {
        if self.channels == channels {
            return;
        }
        self.channels = channels;
        let Some([depth, height, width]) = shapes::picture(&self.shape) else { return };
        let (lines, columns) = match channels {
            Channels::Last => (depth, height * width),
            Channels::First => (height * width, depth),
        };
        if lines > 1 && columns > 1 {
            self.push(Operation::Transpose { lines, columns }, self.shape.clone());
        }
    }

    fn window(&self, spec::Window { kernel, stride, padding }: spec::Window) -> Window {
        let [channels, height, width] = shapes::picture(&self.shape).unwrap_or_default();
        Window { channels, height, width, kernel, stride, padding }
    }

    /// A tensor of the layer that is pushed next.
    fn tensor(&mut self, path: &str, name: &str, shape: &[usize]) {
        self.layout.push(self.layers.len(), format!("{path}.{name}"), shape);
    }

    fn push(&mut self, operation: Operation, output: Vec<usize>) {
        let index = self.layers.len();
        let weights = self.layout.tensors().iter().find(|tensor| tensor.layer == index);
        self.layers.push(Layer {
            name: self.name.clone(),
            operation,
            inputs: width(&self.shape),
            outputs: width(&output),
            parameters: self.layout.layer(index),
            weights: weights.map_or(0, |tensor| tensor.range.len()),
        });
        self.shape = output;
    }
}
