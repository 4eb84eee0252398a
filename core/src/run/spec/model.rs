//! `[model]`, as it is meant.

/// The network.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What is minimised.
    pub loss: Loss,
    /// From input to output.
    pub layers: Vec<Layer>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// y = x Wᵀ + b
    Linear {
        /// Width of the output.
        outputs: usize,
        /// Whether b is there.
        bias: bool,
        /// How W and b start.
        init: Init,
    },
    /// Joins all dimensions of a row into one.
    Flatten,
    /// Zeroes each value with this probability in training and scales the rest by 1/(1-p).
    Dropout(f64),
    /// An elementwise function.
    Activation(Activation),
    /// y\[o, p\] = b\[o\] + Σ W\[o, c, i, j\] x\[c, p·stride + (i, j) - padding\]
    Conv2d {
        /// Of the output.
        channels: usize,
        /// How it slides over the input.
        window: Window,
        /// Whether b is there.
        bias: bool,
        /// How W and b start.
        init: Init,
    },
    /// The greatest value under the window, a channel.
    MaxPool(Window),
    /// The mean under the window, a channel.
    AvgPool(Window),
    /// The mean of each channel: \[channels, 1, 1\].
    GlobalAvgPool,
    /// Centres and scales each row, then y = w x + b.
    LayerNorm {
        /// Added to the variance, 1e-5 by default.
        eps: f64,
    },
    /// Centres and scales each channel of a picture, or each feature, over the rows of a shard in
    /// training, by running statistics in an evaluation; then y = w x + b.
    BatchNorm {
        /// Added to the variance, 1e-5 by default.
        eps: f64,
        /// How much of a step goes into the running statistics, 0.1 by default.
        momentum: f64,
        /// Whether w and b are there.
        affine: bool,
    },
    /// The input plus what these layers make of it.
    Residual(Vec<Self>),
}

/// A square window that slides over pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its side. 3 by default for a convolution.
    pub kernel: usize,
    /// Pixels from one place to the next. By default 1 for a convolution, `kernel` for pooling.
    pub stride: usize,
    /// Pixels beyond each edge. By default (kernel-1)/2, rounded down, for a convolution, which keeps the
    /// picture's size with an odd kernel and a stride of 1, and 0 for pooling.
    pub padding: usize,
}

/// How a layer's parameters start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// As `torch.nn.Linear` and `torch.nn.Conv2d`: W and b uniform in ±1/√inputs, which for a convolution
    /// are the values under its window.
    Torch,
    /// `kaiming_normal_` for relu: W normal, deviation √(2/inputs); b zero.
    He,
    /// `xavier_uniform_`: W uniform in ±√(6/(inputs+outputs)); b zero.
    Xavier,
    /// All zero.
    Zeros,
}

/// An elementwise function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// 1/(1+e⁻ˣ)
    Sigmoid,
    /// tanh x
    Tanh,
    /// max(x, 0)
    Relu,
    /// x, or slope·x below zero.
    LeakyRelu {
        /// Slope below zero, 0.01 by default.
        slope: f64,
    },
    /// x·Φ(x), exact (by erf).
    Gelu,
}

/// What is minimised. A row's loss is the mean over its outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Softmax and negative log likelihood of the labelled class.
    CrossEntropy,
    /// On logits, targets 0 or 1.
    BinaryCrossEntropy,
    /// (y - t)²
    MeanSquaredError,
    /// |y - t|
    MeanAbsoluteError,
    /// Quadratic within `delta`, linear outside, as `torch.nn.HuberLoss`.
    Huber {
        /// 1.0 by default.
        delta: f64,
    },
    /// max(0, -t·y), targets -1 or +1 (of a label with two classes: first, second).
    Perceptron,
    /// max(0, 1 - t·y), targets as for the perceptron.
    Hinge,
}

impl Loss {
    /// As in the run file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross_entropy",
            Self::BinaryCrossEntropy => "binary_cross_entropy",
            Self::MeanSquaredError => "mean_squared_error",
            Self::MeanAbsoluteError => "mean_absolute_error",
            Self::Huber { .. } => "huber",
            Self::Perceptron => "perceptron",
            Self::Hinge => "hinge",
        }
    }

    /// Whether rows are labelled with classes, not with numbers.
    pub const fn takes_classes(self) -> bool {
        match self {
            Self::CrossEntropy | Self::BinaryCrossEntropy | Self::Perceptron | Self::Hinge => true,
            Self::MeanSquaredError | Self::MeanAbsoluteError | Self::Huber { .. } => false,
        }
    }
}

impl Activation {
    /// As in the run file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Relu => "relu",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Gelu => "gelu",
        }
    }
}
