//! A run as it is meant: every default filled in, every relation checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metrics::Metric;

/// A run, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The run's name: letters, digits, `-`, `_` and `.`; names its directory. `run` by default.
    pub name: String,
    /// Where every random number of the run comes from, 0 by default.
    pub seed: u64,
    /// `[data]`
    pub data: Data,
    /// `[model]`
    pub model: Model,
    /// `[train]`
    pub train: Train,
    /// `[cluster]`
    pub cluster: Cluster,
    /// `[checkpoint]`
    pub checkpoint: Checkpoint,
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// The training rows.
    pub train: Source,
    /// The validation rows.
    pub validation: Validation,
    /// The column to predict; always there for a table, never for an IDX pair.
    pub target: Option<String>,
    /// The feature columns; `None` means every column but the target and those that are ignored.
    pub features: Option<Vec<String>>,
    /// What columns are; the kinds of others are inferred from the training rows.
    pub columns: BTreeMap<String, Column>,
    /// How files are read.
    pub reading: Reading,
    /// What becomes of rows that cannot be used.
    pub on_bad_row: OnBadRow,
    /// Up to this many bytes, decoded as f32, an epoch is one full shuffle. 256 MiB by default.
    pub in_memory: u64,
    /// Rows in one shuffle window of a span, 16,384 by default.
    pub shuffle_rows: u64,
}

/// How files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The format of all files; `None`: of each by its extension.
    pub format: Option<Format>,
    /// Whether the first row of CSV and TSV names the columns; if not, they are `column_1`, `column_2`, …
    pub header: bool,
    /// What stands for a missing value, beside those that a format has itself. `""` by default.
    pub missing_values: Vec<String>,
}

impl Default for Reading {
    fn default() -> Self {
        Self { format: None, header: true, missing_values: vec![String::new()] }
    }
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Commas between fields.
    Csv,
    /// Tabs between fields.
    Tsv,
    /// A JSON object a line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC: file, stream or Feather.
    Arrow,
    /// One NumPy array.
    Npy,
    /// Several NumPy arrays.
    Npz,
    /// Unsigned bytes, as MNIST has them.
    Idx,
}

/// What becomes of rows that cannot be used: torn, or with a value that is not what its column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBadRow {
    /// The run does not begin.
    Stop,
    /// They are left out, and counted.
    Skip,
}

/// What a feature column is, and how a model sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// No feature.
    Ignore,
    /// Numbers: one value, or two with the indicator.
    Numeric {
        /// Standardized by default.
        scale: Scale,
        /// What stands in for a missing value, the mean by default.
        missing: Fill,
        /// Whether a second value tells if the first was missing.
        indicator: bool,
    },
    /// One of some values: a place for each, and one for all others.
    Categorical {
        /// At most so many values have a place of their own, the most frequent ones. 100 by default.
        most: u64,
    },
    /// True or false: 1 or 0.
    Boolean,
    /// A date or a point in time.
    DateTime {
        /// What of it; `None`: elapsed, year, week, and day if any training row has a time of day.
        parts: Option<Vec<Part>>,
        /// As `strftime`; `None`: ISO 8601.
        format: Option<String>,
    },
}

/// How a number is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// (x - mean) / deviation, clipped at ±10.
    Standardize,
    /// (x - least) / (greatest - least), clipped at ±10.
    MinMax,
    /// sign(x)·ln(1 + |x|), then standardized.
    Log,
    /// As it is.
    None,
}

/// What stands in for a missing number; it is scaled as the others are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fill {
    /// A missing value makes a bad row.
    Stop,
    /// The mean of the training rows.
    Mean,
    /// Their median.
    Median,
    /// This number.
    Constant(f64),
}

/// What of a date or time a model sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Days, standardized: one value.
    Elapsed,
    /// The place in the year, as sine and cosine.
    Year,
    /// The day of the week, as sine and cosine.
    Week,
    /// The time of day, as sine and cosine.
    Day,
}

/// One dataset. Paths are as typed, relative to the run file.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A file, a folder of files or a pattern: `digits-train.csv`, `part-*.parquet`.
    File(String),
    /// A pair of IDX files, plain or gzipped.
    Idx {
        /// u8 images, \[rows, …\].
        images: String,
        /// u8 labels, \[rows\].
        labels: String,
    },
}

/// Where validation rows come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Validation {
    /// There are none.
    None,
    /// A share of the training rows, 0 < share < 1, held out by hash(seed, row).
    Fraction(f64),
    /// A dataset of their own.
    Source(Source),
}

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

/// How the network is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// Times through the training rows, 10 by default.
    pub epochs: u64,
    /// Rows in one step, over the whole cluster: at least one for each shard. 128 by default.
    pub batch_size: u64,
    /// What turns gradients into weights, Adam by default.
    pub optimizer: Optimizer,
    /// The learning rate's course, constant by default.
    pub schedule: Schedule,
    /// Gradients are scaled so that their norm is at most this.
    pub clip_norm: Option<f64>,
    /// Evaluate after every so many steps; `None`: at the end of every epoch.
    pub evaluate_every: Option<u64>,
    /// End before the last epoch when evaluations bring nothing better.
    pub early_stopping: Option<EarlyStopping>,
    /// What follows a gradient or a loss that is not finite, `Stop` by default.
    pub on_nonfinite: OnNonfinite,
}

/// What follows a gradient or a loss that is not finite, once a second worker has found the same. It
/// never reaches the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNonfinite {
    /// The run fails, and names worker, shard, step, layer and row.
    Stop,
    /// The step's number and rows are used up, and the weights stay as they are.
    Skip,
}

/// When a run has nothing more to gain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    /// So many evaluations in a row without a better one end the run.
    pub patience: u64,
    /// What they are compared by, `validation.loss` by default.
    pub metric: Metric,
    /// Better is better by more than this, 0 by default.
    pub min_delta: f64,
}

/// What turns gradients into weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// `torch.optim.SGD`
    Sgd {
        /// Learning rate, 0.01 by default.
        lr: f64,
        /// Share of the last step that is kept.
        momentum: f64,
        /// Look ahead by one momentum step.
        nesterov: bool,
        /// Added to the gradient, times the weights.
        weight_decay: f64,
    },
    /// `torch.optim.Adam`
    Adam(Adam),
    /// `torch.optim.AdamW`: weight decay apart from the gradient.
    AdamW(Adam),
}

/// The numbers of Adam and AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Learning rate, 1e-3 by default.
    pub lr: f64,
    /// Decay of the mean and of the mean square, (0.9, 0.999) by default.
    pub betas: (f64, f64),
    /// Added to the root of the mean square, 1e-8 by default.
    pub eps: f64,
    /// 0 for Adam, 0.01 for AdamW by default.
    pub weight_decay: f64,
}

/// The learning rate's course: a factor for each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The first so many steps rise linearly: step t has factor (t+1)/(warmup+1) of the peak.
    pub warmup_steps: u64,
    /// What follows the warm-up.
    pub shape: Shape,
}

/// What follows the warm-up; t counts from its end, T is what remains of the run after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// 1
    Constant,
    /// factor^⌊t/every⌋
    Step {
        /// Steps between two falls.
        every: u64,
        /// Multiplied at each fall, 0.1 by default.
        factor: f64,
    },
    /// gamma^t
    Exponential {
        /// Multiplied at each step.
        gamma: f64,
    },
    /// From 1 to `end` in a straight line.
    Linear {
        /// Factor at the run's end, 0 by default.
        end: f64,
    },
    /// From 1 to `end` by half a cosine.
    Cosine {
        /// Factor at the run's end, 0 by default.
        end: f64,
    },
}

/// What the cluster must agree on, and how it is held together; no number depends on its size.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Parts of an epoch's rows, 8 by default.
    pub shards: u32,
    /// How gradients and weights travel.
    pub wire: Wire,
    /// The BLAS kernel, `Haswell` by default on x86-64.
    pub kernel: String,
    /// Whether workers that compute other bits are refused.
    pub numerics: Numerics,
    /// Milliseconds between two signs of life; three missed ones end a session. 1000 by default.
    pub heartbeat_ms: u64,
    /// No step begins with fewer workers. 1 by default.
    pub min_workers: u32,
}

/// How gradients and weights travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// As they are.
    F32,
    /// Rounded to bfloat16, to nearest even: half the bytes.
    Bf16,
}

/// Whether workers that compute other bits are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numerics {
    /// A worker whose fingerprint differs from the run's is refused.
    Strict,
    /// It is accepted, and the promise of equal bits is gone.
    Relaxed,
}

/// When checkpoints are written and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Steps between two checkpoints, 200 by default.
    pub every_steps: u64,
    /// Seconds after which there is one between them.
    pub every_seconds: Option<u64>,
    /// How many of the newest stay, 3 by default.
    pub keep: usize,
    /// By which the best one stays too.
    pub best: Option<Metric>,
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
