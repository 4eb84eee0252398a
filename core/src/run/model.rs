//! `[model]`

use super::field::{Field, Section};
use super::pictures;
use super::problem::Problem;
use super::spec::{Activation, Init, Layer, Loss, Model};

pub(super) const INITS: [(&str, Init); 4] =
    [("torch", Init::Torch), ("he", Init::He), ("xavier", Init::Xavier), ("zeros", Init::Zeros)];

/// More would not be a width but a slip of the pen.
const MOST_OUTPUTS: u64 = 1 << 24;

const LAYERS: [&str; 15] = [
    "linear",
    "conv2d",
    "max_pool",
    "avg_pool",
    "global_avg_pool",
    "layer_norm",
    "batch_norm",
    "residual",
    "flatten",
    "dropout",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "gelu",
];

const LOSSES: [&str; 7] = [
    "cross_entropy",
    "binary_cross_entropy",
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
    "perceptron",
    "hinge",
];

pub(super) fn read(root: &Section) -> Result<Model, Problem> {
    const EXPECTED: &str = "a list of layers, such as [{ linear = 64 }, \"relu\", { linear = 10 }]";
    let section = root.section("model", &["loss", "layers"])?;
    let loss = loss(&section.need("loss", &format!("one of {}", LOSSES.join(", ")))?)?;
    Ok(Model { loss, layers: layers(&section.need("layers", EXPECTED)?, EXPECTED)? })
}

fn layers(field: &Field, expected: &str) -> Result<Vec<Layer>, Problem> {
    let layers = field.list(expected)?;
    if layers.is_empty() {
        return Err(field.unexpected("at least one layer"));
    }
    layers.iter().map(layer).collect()
}

fn loss(field: &Field) -> Result<Loss, Problem> {
    let (name, body) = field.tagged(&LOSSES)?;
    let known: &[&str] = if name == "huber" { &["delta"] } else { &[] };
    let body = Section::body(field, body.as_ref(), known)?;
    Ok(match name.as_str() {
        "cross_entropy" => Loss::CrossEntropy,
        "binary_cross_entropy" => Loss::BinaryCrossEntropy,
        "mean_squared_error" => Loss::MeanSquaredError,
        "mean_absolute_error" => Loss::MeanAbsoluteError,
        "perceptron" => Loss::Perceptron,
        "hinge" => Loss::Hinge,
        _ => Loss::Huber { delta: body.real("delta", 1.0, "a number above 0", |delta| delta > 0.0)? },
    })
}

fn layer(field: &Field) -> Result<Layer, Problem> {
    let (name, body) = field.tagged(&LAYERS)?;
    let activation = match name.as_str() {
        "linear" => return linear(field, body.as_ref()),
        "conv2d" => return pictures::conv2d(field, body.as_ref()),
        "max_pool" => return Ok(Layer::MaxPool(pictures::pool(field, body.as_ref())?)),
        "avg_pool" => return Ok(Layer::AvgPool(pictures::pool(field, body.as_ref())?)),
        "global_avg_pool" => {
            Section::body(field, body.as_ref(), &[])?;
            return Ok(Layer::GlobalAvgPool);
        }
        "layer_norm" => {
            let body = Section::body(field, body.as_ref(), &["eps"])?;
            return Ok(Layer::LayerNorm {
                eps: body.real("eps", 1e-5, "a number above 0", |eps| eps > 0.0)?,
            });
        }
        "batch_norm" => {
            const MOMENTUM: &str = "a share above 0 and at most 1";
            let body = Section::body(field, body.as_ref(), &["eps", "momentum", "affine"])?;
            return Ok(Layer::BatchNorm {
                eps: body.real("eps", 1e-5, "a number above 0", |eps| eps > 0.0)?,
                momentum: body.real("momentum", 0.1, MOMENTUM, |share| share > 0.0 && share <= 1.0)?,
                affine: body.get("affine").map_or(Ok(true), |field| field.bool())?,
            });
        }
        "residual" => {
            const EXPECTED: &str = "a list of layers, such as { residual = [{ conv2d = 32 }, \"relu\"] }";
            return layers(body.as_ref().unwrap_or(field), EXPECTED).map(Layer::Residual);
        }
        "dropout" => {
            const EXPECTED: &str = "a rate of 0 or more and below 1, such as { dropout = 0.2 }";
            let rate = body.as_ref().unwrap_or(field).real(EXPECTED, |rate| (0.0..1.0).contains(&rate))?;
            return Ok(Layer::Dropout(rate));
        }
        "leaky_relu" => {
            const EXPECTED: &str = "the slope below zero, such as { leaky_relu = 0.01 }";
            let slope = body.as_ref().map_or(Ok(0.01), |body| body.real(EXPECTED, |_| true))?;
            return Ok(Layer::Activation(Activation::LeakyRelu { slope }));
        }
        "flatten" => None,
        "sigmoid" => Some(Activation::Sigmoid),
        "tanh" => Some(Activation::Tanh),
        "relu" => Some(Activation::Relu),
        _ => Some(Activation::Gelu),
    };
    Section::body(field, body.as_ref(), &[])?;
    Ok(activation.map_or(Layer::Flatten, Layer::Activation))
}

/// `{ linear = 128 }`, or `{ linear = { outputs = 128, … } }`.
fn linear(field: &Field, body: Option<&Field>) -> Result<Layer, Problem> {
    const EXPECTED: &str = "the layer's width, such as { linear = 128 }";
    let body = body.ok_or_else(|| field.unexpected(EXPECTED))?;
    if !body.is_table() {
        return Ok(Layer::Linear { outputs: width(body)?, bias: true, init: Init::Torch });
    }
    let section = Section::new(body, &["outputs", "bias", "init"])?;
    Ok(Layer::Linear {
        outputs: width(&section.need("outputs", EXPECTED)?)?,
        bias: section.get("bias").map_or(Ok(true), |field| field.bool())?,
        init: section.get("init").map_or(Ok(Init::Torch), |field| field.choice(&INITS))?,
    })
}

/// The width of a layer's output, or its channels.
pub(super) fn width(field: &Field) -> Result<usize, Problem> {
    Ok(usize::try_from(field.whole(1, MOST_OUTPUTS)?).unwrap_or(usize::MAX))
}
