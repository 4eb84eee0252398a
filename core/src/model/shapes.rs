//! Whether layers fit the rows, each other and the loss.

use crate::chunks::Limits;
use crate::ops::embedding::{Embedding, MOST_VALUES};
use crate::run::spec::{Layer, Loss, Window};

/// What a row's target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One of so many classes.
    Classes(usize),
    /// So many numbers.
    Values(usize),
}

/// A layer that does not fit. Layers are named as in the run file, such as `layers.3 (linear = 10)`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A run without layers.
    #[error("model.layers is empty: a model needs at least one layer, such as {{ linear = 10 }}")]
    NoLayers,
    /// Nothing to train.
    #[error(
        "model.layers has no layer with parameters: there is nothing to train; add one, such as {{ linear = 10 }}"
    )]
    NoParameters,
    /// Linear on rows of several dimensions.
    #[error(
        "{layer} takes rows of one dimension, but {before} gives {shape:?}: put \"flatten\" between them"
    )]
    NotFlat {
        /// The layer.
        layer: String,
        /// The layer or the data before it.
        before: String,
        /// What it gives.
        shape: Vec<usize>,
    },
    /// A window on rows that are no pictures.
    #[error("{layer} takes pictures, [channels, height, width], but {before} gives {shape:?}")]
    NotPicture {
        /// The layer.
        layer: String,
        /// The layer or the data before it.
        before: String,
        /// What it gives.
        shape: Vec<usize>,
    },
    /// A window that is larger than the picture.
    #[error(
        "{layer} has a window of {kernel} x {kernel}, but {before} gives {shape:?}, which with a padding of {padding} is smaller"
    )]
    Window {
        /// The layer.
        layer: String,
        /// Side of the window.
        kernel: usize,
        /// Pixels beyond each edge.
        padding: usize,
        /// The layer or the data before it.
        before: String,
        /// What it gives.
        shape: Vec<usize>,
    },
    /// A residual block that changes the shape.
    #[error(
        "{layer} adds its input to its layers' output, so both must have one shape, but {before} gives {shape:?} and {last} gives {output:?}"
    )]
    Residual {
        /// The block.
        layer: String,
        /// The layer or the data before it.
        before: String,
        /// What it gives.
        shape: Vec<usize>,
        /// The last layer of the block.
        last: String,
        /// What it gives.
        output: Vec<usize>,
    },
    /// The outputs do not fit the loss and the target.
    #[error(
        "the last layer, {last}, gives {outputs} outputs, but {loss} with {target} needs {needed}: make the last linear layer {{ linear = {needed} }}"
    )]
    Outputs {
        /// The last layer.
        last: String,
        /// What it gives.
        outputs: usize,
        /// As in the run file.
        loss: &'static str,
        /// The data's target in words.
        target: String,
        /// What it should give.
        needed: usize,
    },
    /// The loss cannot use this kind of target.
    #[error("{loss} needs {needed}, but the data has {target}")]
    Target {
        /// As in the run file.
        loss: &'static str,
        /// In words.
        needed: &'static str,
        /// In words.
        target: String,
    },
    /// More channels than a message has room for.
    #[error("{layer} normalises at most {most} channels, but {before} gives {shape:?}")]
    Channels {
        /// The layer.
        layer: String,
        /// The most.
        most: usize,
        /// The layer or the data before it.
        before: String,
        /// What it gives.
        shape: Vec<usize>,
    },
    /// Indices that the rows cannot have.
    #[error(
        "the embedding of {name:?} has {values} vectors of {width} values at place {place} of rows of {shape:?}: \
         expected 1 to 2^24 vectors of 1 to 65536 values, at ascending places of rows of one dimension"
    )]
    Embedding {
        /// The column.
        name: String,
        /// Vectors.
        values: usize,
        /// Values of a vector.
        width: usize,
        /// Where in the row.
        place: usize,
        /// The shape of a row.
        shape: Vec<usize>,
    },
    /// A product or a sum of sizes that no machine can hold.
    #[error("{layer} has more parameters or values than can be counted")]
    TooLarge {
        /// The layer.
        layer: String,
    },
}

/// Statistics of one layer travel in one chunk.
const MOST_CHANNELS: usize = Limits::WIRE.longest / 2;

/// The shape of what a layer gives for rows of `shape`, which come from `before`.
pub(super) fn output(
    layer: &Layer,
    name: &str,
    before: &str,
    shape: &[usize],
) -> Result<Vec<usize>, ShapeError> {
    let (name, before) = (|| name.to_owned(), || before.to_owned());
    let pixels = || {
        picture(shape).ok_or_else(|| ShapeError::NotPicture {
            layer: name(),
            before: before(),
            shape: shape.to_vec(),
        })
    };
    let slide = |Window { kernel, stride, padding }: Window| {
        let [channels, height, width] = pixels()?;
        let places = |side: usize| Some((side + 2 * padding).checked_sub(kernel)? / stride + 1);
        match (places(height), places(width)) {
            (Some(lines), Some(columns)) => Ok([channels, lines, columns]),
            _ => Err(ShapeError::Window {
                layer: name(),
                kernel,
                padding,
                before: before(),
                shape: shape.to_vec(),
            }),
        }
    };
    let too_large = || ShapeError::TooLarge { layer: name() };
    let countable = |sizes: &[usize]| {
        let product = sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
        product.filter(|all| *all <= usize::MAX >> 16).map(|_| ()).ok_or_else(too_large)
    };
    Ok(match *layer {
        Layer::Linear { outputs, .. } => {
            let [inputs] = shape[..] else {
                return Err(ShapeError::NotFlat { layer: name(), before: before(), shape: shape.to_vec() });
            };
            countable(&[inputs, outputs])?;
            vec![outputs]
        }
        Layer::Conv2d { channels, window, .. } => {
            let [inputs, lines, columns] = slide(window)?;
            countable(&[inputs, window.kernel, window.kernel, channels])?;
            countable(&[channels, lines, columns])?;
            vec![channels, lines, columns]
        }
        Layer::MaxPool(window) | Layer::AvgPool(window) => {
            let output = slide(window)?;
            countable(&output)?;
            output.to_vec()
        }
        Layer::GlobalAvgPool => vec![pixels()?[0], 1, 1],
        Layer::BatchNorm { .. } => {
            let channels = if let [features] = *shape { features } else { pixels()?[0] };
            if channels == 0 || channels > MOST_CHANNELS {
                let (most, shape) = (MOST_CHANNELS, shape.to_vec());
                return Err(ShapeError::Channels { layer: name(), most, before: before(), shape });
            }
            shape.to_vec()
        }
        Layer::Flatten => vec![width(shape)],
        Layer::Dropout(_) | Layer::Activation(_) | Layer::LayerNorm { .. } | Layer::Residual(_) => {
            shape.to_vec()
        }
    })
}

/// Indices must lie in the rows, one after the other, and tables have sizes that can be counted.
pub(super) fn check_embeddings(embeddings: &[Embedding], sample: &[usize]) -> Result<(), ShapeError> {
    const WIDEST: usize = 1 << 16;
    let mut least = 0;
    for Embedding { name, place, values, width } in embeddings {
        let fits = (1..=MOST_VALUES).contains(values) && (1..=WIDEST).contains(width);
        if !fits || sample.len() != 1 || !(least..sample[0]).contains(place) {
            return Err(ShapeError::Embedding {
                name: name.clone(),
                values: *values,
                width: *width,
                place: *place,
                shape: sample.to_vec(),
            });
        }
        least = place + 1;
    }
    Ok(())
}

/// As errors and tables name the stage.
pub(super) fn embeddings_name(embeddings: &[Embedding]) -> String {
    const MOST: usize = 3;
    let shown = embeddings.iter().take(MOST);
    let mut shown: Vec<String> =
        shown.map(|of| format!("{} {} x {}", of.name, of.values, of.width)).collect();
    if embeddings.len() > MOST {
        shown.push(format!("{} more", embeddings.len() - MOST));
    }
    format!("embeddings ({})", shown.join(", "))
}

/// Rows as pictures \[channels, height, width\], none of them 0; two dimensions are one channel.
pub(super) fn picture(shape: &[usize]) -> Option<[usize; 3]> {
    let picture = match *shape {
        [height, width] => [1, height, width],
        [channels, height, width] => [channels, height, width],
        _ => return None,
    };
    (!picture.contains(&0)).then_some(picture)
}

pub(super) fn check_loss(loss: Loss, outputs: usize, target: Target, last: String) -> Result<(), ShapeError> {
    let loss_name = loss.name();
    let wrong = |needed| ShapeError::Target { loss: loss_name, needed, target: words(target) };
    let needed = match (loss, target) {
        (Loss::CrossEntropy, Target::Classes(classes)) => classes,
        (Loss::CrossEntropy, Target::Values(_)) => return Err(wrong("a class label")),
        (Loss::BinaryCrossEntropy | Loss::Perceptron | Loss::Hinge, Target::Classes(2)) => 1,
        (Loss::BinaryCrossEntropy | Loss::Perceptron | Loss::Hinge, Target::Classes(_)) => {
            return Err(wrong("a label with two classes"));
        }
        (_, Target::Classes(_)) => return Err(wrong("a numeric target")),
        (_, Target::Values(width)) => width,
    };
    if outputs == needed {
        return Ok(());
    }
    Err(ShapeError::Outputs { last, outputs, loss: loss_name, target: words(target), needed })
}

pub(super) fn width(shape: &[usize]) -> usize {
    shape.iter().product()
}

fn words(target: Target) -> String {
    match target {
        Target::Classes(classes) => format!("a label of {classes} classes"),
        Target::Values(1) => "one numeric target".to_owned(),
        Target::Values(width) => format!("{width} numeric targets"),
    }
}

pub(super) fn name(layer: &Layer) -> String {
    match layer {
        Layer::Linear { outputs, .. } => format!("linear = {outputs}"),
        Layer::Conv2d { channels, .. } => format!("conv2d = {channels}"),
        Layer::MaxPool(window) => format!("max_pool = {}", window.kernel),
        Layer::AvgPool(window) => format!("avg_pool = {}", window.kernel),
        Layer::GlobalAvgPool => "global_avg_pool".to_owned(),
        Layer::LayerNorm { .. } => "layer_norm".to_owned(),
        Layer::BatchNorm { .. } => "batch_norm".to_owned(),
        Layer::Residual(_) => "residual".to_owned(),
        Layer::Flatten => "flatten".to_owned(),
        Layer::Dropout(rate) => format!("dropout = {rate}"),
        Layer::Activation(activation) => activation.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::run::spec::{self, Activation, Init};

    fn linear(outputs: usize) -> Layer {
        Layer::Linear { outputs, bias: true, init: Init::Torch }
    }

    fn conv(channels: usize, kernel: usize, stride: usize, padding: usize) -> Layer {
        let window = Window { kernel, stride, padding };
        Layer::Conv2d { channels, window, bias: true, init: Init::Torch }
    }

    /// The widths of the rows after each layer.
    fn checked(
        layers: Vec<Layer>,
        loss: Loss,
        sample: &[usize],
        target: Target,
    ) -> Result<Vec<usize>, String> {
        let model = Model::new(&spec::Model { loss, layers }, sample, target);
        model
            .map(|model| model.layers.iter().map(|layer| layer.outputs).collect())
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn widths_between_layers() {
        let layers = vec![Layer::Flatten, linear(5), Layer::Activation(Activation::Relu), linear(3)];
        assert_eq!(checked(layers, Loss::CrossEntropy, &[4, 2], Target::Classes(3)), Ok(vec![8, 5, 3]));
    }

    #[test]
    fn misfits_name_both_sides() {
        let classes = Target::Classes(3);
        assert_eq!(
            checked(vec![linear(3)], Loss::CrossEntropy, &[4, 2], classes).unwrap_err(),
            "layers.0 (linear = 3) takes rows of one dimension, but the data gives [4, 2]: put \"flatten\" between them"
        );
        assert_eq!(
            checked(vec![linear(4)], Loss::CrossEntropy, &[8], classes).unwrap_err(),
            "the last layer, layers.0 (linear = 4), gives 4 outputs, but cross_entropy with a label of 3 classes needs 3: make the last linear layer { linear = 3 }"
        );
        assert_eq!(
            checked(vec![linear(1)], Loss::Hinge, &[8], classes).unwrap_err(),
            "hinge needs a label with two classes, but the data has a label of 3 classes"
        );
        assert_eq!(
            checked(vec![linear(1)], Loss::MeanSquaredError, &[8], classes).unwrap_err(),
            "mean_squared_error needs a numeric target, but the data has a label of 3 classes"
        );
        assert!(checked(vec![linear(usize::MAX / 2)], Loss::CrossEntropy, &[8], classes).is_err());
        assert!(checked(vec![], Loss::CrossEntropy, &[8], classes).is_err());
        assert!(checked(vec![Layer::Flatten], Loss::CrossEntropy, &[3], classes).is_err());
    }

    #[test]
    fn pictures_that_do_not_fit() {
        let classes = Target::Classes(3);
        let problem =
            |layers, sample: &[usize]| checked(layers, Loss::CrossEntropy, sample, classes).unwrap_err();
        assert_eq!(
            problem(vec![linear(3), conv(8, 3, 1, 1)], &[6]),
            "layers.1 (conv2d = 8) takes pictures, [channels, height, width], but layers.0 (linear = 3) gives [3]"
        );
        assert_eq!(
            problem(vec![conv(8, 3, 2, 0), conv(4, 5, 1, 1)], &[1, 6, 6]),
            "layers.1 (conv2d = 4) has a window of 5 x 5, but layers.0 (conv2d = 8) gives [8, 2, 2], which with a padding of 1 is smaller"
        );
        assert_eq!(
            problem(vec![Layer::Residual(vec![conv(2, 3, 1, 1), conv(4, 3, 1, 1)])], &[2, 6, 6]),
            "layers.0 (residual) adds its input to its layers' output, so both must have one shape, but the data gives [2, 6, 6] and layers.0.1 (conv2d = 4) gives [4, 6, 6]"
        );
        assert_eq!(
            problem(vec![Layer::Residual(vec![linear(3)])], &[2, 6]),
            "layers.0.0 (linear = 3) takes rows of one dimension, but the data gives [2, 6]: put \"flatten\" between them"
        );
        assert_eq!(
            problem(vec![Layer::GlobalAvgPool, linear(3)], &[2, 6, 6]),
            "layers.1 (linear = 3) takes rows of one dimension, but layers.0 (global_avg_pool) gives [2, 1, 1]: put \"flatten\" between them"
        );
        let batch_norm = Layer::BatchNorm { eps: 1e-5, momentum: 0.1, affine: true };
        assert_eq!(
            problem(vec![batch_norm.clone()], &[1 << 18]),
            "layers.0 (batch_norm) normalises at most 131072 channels, but the data gives [262144]"
        );
        assert_eq!(
            problem(vec![batch_norm], &[2, 2, 2, 2]),
            "layers.0 (batch_norm) takes pictures, [channels, height, width], but the data gives [2, 2, 2, 2]"
        );
        let most = 1 << 24;
        let wide = vec![conv(most, 1, 1, 0), conv(most, 1 << 16, 1, 1 << 16)];
        assert_eq!(
            problem(wide, &[1, 1, 1]),
            "layers.1 (conv2d = 16777216) has more parameters or values than can be counted"
        );
        assert!(checked(vec![conv(most, 1, 1, 1 << 16)], Loss::CrossEntropy, &[9, 9], classes).is_err());
        assert!(checked(vec![Layer::GlobalAvgPool], Loss::CrossEntropy, &[3, 0, 4], classes).is_err());
    }
}
