//! `[train]`, as it is meant.

use std::collections::BTreeMap;

use crate::metrics::Metric;

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
    /// What a row counts for by its class, times its own weight; 1 by default.
    pub class_weights: Option<ClassWeights>,
    /// What follows a gradient or a loss that is not finite, `Stop` by default.
    pub on_nonfinite: OnNonfinite,
    /// Steps whose loss is far above those before are left out.
    pub loss_spike: Option<LossSpike>,
}

/// When a step's loss is too high.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossSpike {
    /// Above so many times the median; more than 1.
    pub factor: f64,
    /// Of so many steps before it, 100 by default.
    pub window: u64,
}

/// What a row counts for by its class.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeights {
    /// rows / (classes · rows of the class), over the training rows: every class weighs the same in sum,
    /// as `class_weight="balanced"` of scikit-learn.
    Balanced,
    /// By label, 1 for those that are not named.
    Of(BTreeMap<String, f64>),
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
