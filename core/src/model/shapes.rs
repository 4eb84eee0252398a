//! Whether layers fit the rows, each other and the loss.

use crate::run::spec::{Layer, Loss, Model};

/// What a row's target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One of so many classes.
    Classes(usize),
    /// So many numbers.
    Values(usize),
}

/// A layer that does not fit.
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
        "layers.{index} ({layer}) takes rows of one dimension, but {before} gives {shape:?}: put \"flatten\" between them"
    )]
    NotFlat {
        /// Counted from 0.
        index: usize,
        /// As in the run file.
        layer: String,
        /// The layer or the data before it.
        before: String,
        /// What it gives.
        shape: Vec<usize>,
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
    /// A product or a sum of sizes that no machine can hold.
    #[error("layers.{index} ({layer}) has more parameters than can be counted")]
    TooLarge {
        /// Counted from 0.
        index: usize,
        /// As in the run file.
        layer: String,
    },
}

/// The width of the rows before each layer, and after the last.
pub(super) fn check(model: &Model, sample: &[usize], target: Target) -> Result<Vec<usize>, ShapeError> {
    if model.layers.is_empty() {
        return Err(ShapeError::NoLayers);
    }
    let mut shape = sample.to_vec();
    let mut widths = vec![width(&shape)];
    let mut before = "the data".to_owned();
    let mut parameters = 0usize;
    for (index, layer) in model.layers.iter().enumerate() {
        let name = name(layer);
        match layer {
            Layer::Linear { outputs, .. } => {
                let [inputs] = shape[..] else {
                    return Err(ShapeError::NotFlat { index, layer: name, before, shape });
                };
                let weights = inputs.checked_mul(*outputs).and_then(|n| n.checked_add(*outputs));
                parameters = weights
                    .and_then(|n| parameters.checked_add(n))
                    .filter(|n| *n <= usize::MAX >> 16)
                    .ok_or(ShapeError::TooLarge { index, layer: name.clone() })?;
                shape = vec![*outputs];
            }
            Layer::Flatten => shape = vec![width(&shape)],
            Layer::Dropout(_) | Layer::Activation(_) => {}
        }
        widths.push(width(&shape));
        before = format!("layers.{index} ({name})");
    }
    if parameters == 0 {
        return Err(ShapeError::NoParameters);
    }
    check_loss(model.loss, width(&shape), target, before)?;
    Ok(widths)
}

fn check_loss(loss: Loss, outputs: usize, target: Target, last: String) -> Result<(), ShapeError> {
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

fn width(shape: &[usize]) -> usize {
    shape.iter().product()
}

fn words(target: Target) -> String {
    match target {
        Target::Classes(classes) => format!("a label of {classes} classes"),
        Target::Values(1) => "one numeric target".to_owned(),
        Target::Values(width) => format!("{width} numeric targets"),
    }
}

fn name(layer: &Layer) -> String {
    match layer {
        Layer::Linear { outputs, .. } => format!("linear = {outputs}"),
        Layer::Flatten => "flatten".to_owned(),
        Layer::Dropout(rate) => format!("dropout = {rate}"),
        Layer::Activation(activation) => activation.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::spec::{Activation, Init};

    fn linear(outputs: usize) -> Layer {
        Layer::Linear { outputs, bias: true, init: Init::Torch }
    }

    fn checked(
        layers: Vec<Layer>,
        loss: Loss,
        sample: &[usize],
        target: Target,
    ) -> Result<Vec<usize>, String> {
        check(&Model { loss, layers }, sample, target).map_err(|problem| problem.to_string())
    }

    #[test]
    fn widths_between_layers() {
        let layers = vec![Layer::Flatten, linear(5), Layer::Activation(Activation::Relu), linear(3)];
        assert_eq!(checked(layers, Loss::CrossEntropy, &[4, 2], Target::Classes(3)), Ok(vec![8, 8, 5, 5, 3]));
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
}
