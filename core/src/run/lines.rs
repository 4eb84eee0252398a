//! A run as lines of TOML: the resolved copy in the run directory, and what a resume compares.

use std::fmt::Write;

use super::cluster::{NUMERICS, WIRES};
use super::columns::{PARTS, SCALES};
use super::data::{FORMATS, ON_BAD_ROW, TARGET_SCALES};
use super::model::INITS;
use super::spec::{
    Activation, Adam, ClassWeights, Column, Data, EarlyStopping, Fill, Layer, Loss, LossSpike, Optimizer,
    Run, Schedule, Shape, Source, Train, Validation, Window,
};
use super::train::ON_NONFINITE;

/// One value of a run.
struct Line {
    key: &'static str,
    value: Content,
    /// Whether a resume may change it.
    free: bool,
}

enum Content {
    Is(String),
    /// What it means that the value is not set.
    Unset(&'static str),
}

/// The run file with every default written out. [`super::parse`] of it gives an equal run.
pub fn to_toml(run: &Run) -> String {
    let mut text = String::new();
    for (section, lines) in sections(run) {
        if !section.is_empty() {
            let _ = writeln!(text, "\n[{section}]");
        }
        for Line { key, value, .. } in lines {
            let _ = match value {
                Content::Is(value) => writeln!(text, "{key} = {value}"),
                Content::Unset(meaning) => writeln!(text, "# {key} is not set: {meaning}"),
            };
        }
    }
    text
}

/// What the result of a run follows from, besides its data: each value that a resume may not change, a
/// line each. Two run files of one meaning train the same model on the same rows.
pub fn meaning(run: &Run) -> String {
    let mut text = String::new();
    for (section, lines) in sections(run) {
        for Line { key, value, .. } in lines.into_iter().filter(|line| !line.free) {
            let _ = writeln!(text, "{} = {}", dotted(section, key), shown(value));
        }
    }
    text
}

/// The values that differ and that a resume may not change: key, old and new value. It may change
/// the name, paths, `checkpoint.*`, `cluster.heartbeat_ms`, `cluster.min_workers` and `cluster.audit`.
pub fn differences(old: &Run, new: &Run) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for ((section, old), (_, new)) in sections(old).into_iter().zip(sections(new)) {
        for (old, new) in old.into_iter().zip(new) {
            let key = dotted(section, old.key);
            let (free, old, new) = (old.free && new.free, shown(old.value), shown(new.value));
            if !free && old != new {
                found.push((key, old, new));
            }
        }
    }
    found
}

fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() { key.into() } else { format!("{section}.{key}") }
}

fn shown(value: Content) -> String {
    match value {
        Content::Is(value) => value,
        Content::Unset(_) => "not set".into(),
    }
}

fn sections(run: &Run) -> Vec<(&'static str, Vec<Line>)> {
    let (cluster, checkpoint) = (&run.cluster, &run.checkpoint);
    vec![
        ("", vec![free("name", quoted(&run.name)), fixed("seed", run.seed.to_string())]),
        ("data", data(&run.data)),
        ("model", vec![fixed("loss", loss(run.model.loss)), fixed("layers", layers(&run.model.layers))]),
        ("train", train(&run.train)),
        (
            "cluster",
            vec![
                fixed("shards", cluster.shards.to_string()),
                fixed("wire", quoted(word(&WIRES, cluster.wire))),
                fixed("kernel", quoted(&cluster.kernel)),
                fixed("numerics", quoted(word(&NUMERICS, cluster.numerics))),
                free("heartbeat_ms", cluster.heartbeat_ms.to_string()),
                free("min_workers", cluster.min_workers.to_string()),
                free("audit", number(cluster.audit)),
            ],
        ),
        (
            "checkpoint",
            vec![
                free("every_steps", checkpoint.every_steps.to_string()),
                free_or_unset(
                    "every_seconds",
                    checkpoint.every_seconds.map(|n| n.to_string()),
                    "there are none by time",
                ),
                free("keep", checkpoint.keep.to_string()),
                free_or_unset("best", checkpoint.best.map(|metric| quoted(metric.name())), "no one is best"),
            ],
        ),
    ]
}

fn data(data: &Data) -> Vec<Line> {
    let features = data.features.as_ref().map(|names| list(names));
    let columns: Vec<String> =
        data.columns.iter().map(|(name, is)| format!("{} = {}", key(name), column(is))).collect();
    let columns = (!columns.is_empty()).then(|| format!("{{ {} }}", columns.join(", ")));
    let reading = &data.reading;
    vec![
        free("train", source(&data.train)),
        match &data.validation {
            Validation::None => unset("validation", "there are no validation rows"),
            Validation::Fraction(share) => fixed("validation", number(*share)),
            Validation::Source(paths) => free("validation", source(paths)),
        },
        or_unset("target", data.target.as_deref().map(quoted), "images have their labels beside them"),
        fixed("target_scale", quoted(word(&TARGET_SCALES, data.target_scale))),
        or_unset("weight", data.weight.as_deref().map(quoted), "every row weighs 1"),
        or_unset("features", features, "every column but the target"),
        or_unset("columns", columns, "what each column is follows from its values"),
        or_unset("format", reading.format.map(|format| quoted(word(&FORMATS, format))), "by extension"),
        fixed("header", reading.header.to_string()),
        fixed("missing_values", list(&reading.missing_values)),
        fixed("on_bad_row", quoted(word(&ON_BAD_ROW, data.on_bad_row))),
        fixed("in_memory", data.in_memory.to_string()),
        fixed("shuffle_rows", data.shuffle_rows.to_string()),
    ]
}

fn column(column: &Column) -> String {
    match column {
        Column::Ignore => quoted("ignore"),
        Column::Numeric { scale, missing, indicator } => {
            let missing = match missing {
                Fill::Stop => quoted("stop"),
                Fill::Mean => quoted("mean"),
                Fill::Median => quoted("median"),
                Fill::Constant(value) => number(*value),
            };
            let scale = quoted(word(&SCALES, *scale));
            format!("{{ numeric = {{ scale = {scale}, missing = {missing}, indicator = {indicator} }} }}")
        }
        Column::Categorical { most, embedding } => {
            let embedding = embedding.map(|width| format!(", embedding = {width}")).unwrap_or_default();
            format!("{{ categorical = {{ most = {most}{embedding} }} }}")
        }
        Column::Boolean => quoted("boolean"),
        Column::DateTime { parts, format } => {
            let words = |part| word(&PARTS, part).to_owned();
            let parts = parts.as_ref().map(|parts| {
                format!("parts = {}", list(&parts.iter().copied().map(words).collect::<Vec<_>>()))
            });
            let format = format.as_ref().map(|format| format!("format = {}", quoted(format)));
            let body: Vec<String> = parts.into_iter().chain(format).collect();
            format!("{{ date_time = {{ {} }} }}", body.join(", "))
        }
    }
}

fn train(train: &Train) -> Vec<Line> {
    vec![
        fixed("epochs", train.epochs.to_string()),
        fixed("batch_size", train.batch_size.to_string()),
        fixed("optimizer", optimizer(train.optimizer)),
        fixed("schedule", schedule(train.schedule)),
        or_unset("clip_norm", train.clip_norm.map(number), "gradients are not clipped"),
        or_unset("evaluate_every", train.evaluate_every.map(|n| n.to_string()), "at the end of every epoch"),
        or_unset("early_stopping", train.early_stopping.map(early_stopping), "all epochs are trained"),
        or_unset("class_weights", train.class_weights.as_ref().map(class_weights), "every class weighs 1"),
        fixed("on_nonfinite", quoted(word(&ON_NONFINITE, train.on_nonfinite))),
        or_unset("loss_spike", train.loss_spike.map(loss_spike), "no loss is too high"),
    ]
}

fn class_weights(weights: &ClassWeights) -> String {
    match weights {
        ClassWeights::Balanced => quoted("balanced"),
        ClassWeights::Of(weights) => {
            let weights: Vec<String> = weights
                .iter()
                .map(|(label, weight)| format!("{} = {}", key(label), number(*weight)))
                .collect();
            format!("{{ {} }}", weights.join(", "))
        }
    }
}

fn early_stopping(EarlyStopping { patience, metric, min_delta }: EarlyStopping) -> String {
    let (metric, min_delta) = (quoted(metric.name()), number(min_delta));
    format!("{{ patience = {patience}, metric = {metric}, min_delta = {min_delta} }}")
}

fn loss_spike(LossSpike { factor, window }: LossSpike) -> String {
    format!("{{ factor = {}, window = {window} }}", number(factor))
}

fn source(source: &Source) -> String {
    match source {
        Source::File(path) => quoted(path),
        Source::Idx { images, labels } => {
            format!("{{ images = {}, labels = {} }}", quoted(images), quoted(labels))
        }
    }
}

fn loss(loss: Loss) -> String {
    match loss {
        Loss::CrossEntropy => quoted("cross_entropy"),
        Loss::BinaryCrossEntropy => quoted("binary_cross_entropy"),
        Loss::MeanSquaredError => quoted("mean_squared_error"),
        Loss::MeanAbsoluteError => quoted("mean_absolute_error"),
        Loss::Huber { delta } => format!("{{ huber = {{ delta = {} }} }}", number(delta)),
        Loss::Perceptron => quoted("perceptron"),
        Loss::Hinge => quoted("hinge"),
    }
}

fn layers(layers: &[Layer]) -> String {
    let lines: Vec<String> = layers.iter().map(|item| format!("    {},\n", layer(item))).collect();
    format!("[\n{}]", lines.concat())
}

fn layer(item: &Layer) -> String {
    match item {
        Layer::Linear { outputs, bias, init } => {
            let init = quoted(word(&INITS, *init));
            format!("{{ linear = {{ outputs = {outputs}, bias = {bias}, init = {init} }} }}")
        }
        Layer::Flatten => quoted("flatten"),
        Layer::Dropout(rate) => format!("{{ dropout = {} }}", number(*rate)),
        Layer::Activation(activation) => match activation {
            Activation::Sigmoid => quoted("sigmoid"),
            Activation::Tanh => quoted("tanh"),
            Activation::Relu => quoted("relu"),
            Activation::LeakyRelu { slope } => format!("{{ leaky_relu = {} }}", number(*slope)),
            Activation::Gelu => quoted("gelu"),
        },
        Layer::Conv2d { channels, window, bias, init } => {
            let (window, init) = (window_values(*window), quoted(word(&INITS, *init)));
            format!("{{ conv2d = {{ channels = {channels}, {window}, bias = {bias}, init = {init} }} }}")
        }
        Layer::MaxPool(window) => format!("{{ max_pool = {{ {} }} }}", window_values(*window)),
        Layer::AvgPool(window) => format!("{{ avg_pool = {{ {} }} }}", window_values(*window)),
        Layer::GlobalAvgPool => quoted("global_avg_pool"),
        Layer::LayerNorm { eps } => format!("{{ layer_norm = {{ eps = {} }} }}", number(*eps)),
        Layer::BatchNorm { eps, momentum, affine } => format!(
            "{{ batch_norm = {{ eps = {}, momentum = {}, affine = {affine} }} }}",
            number(*eps),
            number(*momentum)
        ),
        Layer::Residual(layers) => {
            let layers: Vec<String> = layers.iter().map(layer).collect();
            format!("{{ residual = [{}] }}", layers.join(", "))
        }
    }
}

fn window_values(Window { kernel, stride, padding }: Window) -> String {
    format!("kernel = {kernel}, stride = {stride}, padding = {padding}")
}

fn optimizer(optimizer: Optimizer) -> String {
    let adam = |name, Adam { lr, betas, eps, weight_decay }| {
        format!(
            "{{ {name} = {{ lr = {}, betas = [{}, {}], eps = {}, weight_decay = {} }} }}",
            number(lr),
            number(betas.0),
            number(betas.1),
            number(eps),
            number(weight_decay)
        )
    };
    match optimizer {
        Optimizer::Sgd { lr, momentum, nesterov, weight_decay } => format!(
            "{{ sgd = {{ lr = {}, momentum = {}, nesterov = {nesterov}, weight_decay = {} }} }}",
            number(lr),
            number(momentum),
            number(weight_decay)
        ),
        Optimizer::Adam(numbers) => adam("adam", numbers),
        Optimizer::AdamW(numbers) => adam("adamw", numbers),
    }
}

fn schedule(schedule: Schedule) -> String {
    let warmup = format!("warmup_steps = {}", schedule.warmup_steps);
    match schedule.shape {
        Shape::Constant => format!("{{ constant = {{ {warmup} }} }}"),
        Shape::Step { every, factor } => {
            format!("{{ step = {{ {warmup}, every = {every}, factor = {} }} }}", number(factor))
        }
        Shape::Exponential { gamma } => {
            format!("{{ exponential = {{ {warmup}, gamma = {} }} }}", number(gamma))
        }
        Shape::Linear { end } => format!("{{ linear = {{ {warmup}, end = {} }} }}", number(end)),
        Shape::Cosine { end } => format!("{{ cosine = {{ {warmup}, end = {} }} }}", number(end)),
    }
}

/// The shortest digits that read back as the same number.
fn number(number: f64) -> String {
    format!("{number:?}")
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

/// A key may be any text, but not over several lines as a value may.
fn key(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn word<T: PartialEq + Copy>(words: &[(&'static str, T)], meant: T) -> &'static str {
    words.iter().find(|(_, value)| *value == meant).map_or("", |(word, _)| word)
}

fn fixed(key: &'static str, value: String) -> Line {
    Line { key, value: Content::Is(value), free: false }
}

fn free(key: &'static str, value: String) -> Line {
    Line { key, value: Content::Is(value), free: true }
}

fn unset(key: &'static str, meaning: &'static str) -> Line {
    Line { key, value: Content::Unset(meaning), free: false }
}

fn free_or_unset(key: &'static str, value: Option<String>, meaning: &'static str) -> Line {
    Line { free: true, ..or_unset(key, value, meaning) }
}

fn or_unset(key: &'static str, value: Option<String>, meaning: &'static str) -> Line {
    value.map_or_else(|| unset(key, meaning), |value| fixed(key, value))
}
