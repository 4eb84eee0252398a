//! `[train]`

use std::collections::BTreeMap;

use super::checkpoint::metric;
use super::field::{Field, Section};
use super::problem::{Problem, Wrong};
use super::spec::{
    Adam, ClassWeights, EarlyStopping, Loss, LossSpike, OnNonfinite, Optimizer, Schedule, Shape, Train,
};
use super::typed::Value;
use crate::metrics::Metric;

pub(super) const ON_NONFINITE: [(&str, OnNonfinite); 2] =
    [("stop", OnNonfinite::Stop), ("skip", OnNonfinite::Skip)];

const CLASS_WEIGHTS: &str = "\"balanced\", or weights by label, such as { yes = 2.0, no = 1.0 }";
const NOT_NEGATIVE: &str = "a number, 0 or more";
const POSITIVE: &str = "a number above 0";
const BELOW_ONE: &str = "a number of 0 or more and below 1";

pub(super) fn read(root: &Section, shards: u32, validates: bool, loss: Loss) -> Result<Train, Problem> {
    let known = [
        "epochs",
        "batch_size",
        "optimizer",
        "schedule",
        "clip_norm",
        "evaluate_every",
        "early_stopping",
        "class_weights",
        "on_nonfinite",
        "loss_spike",
    ];
    let section = root.section("train", &known)?;
    let batch_size = section.whole("batch_size", 128, 1, u64::MAX)?;
    if batch_size < u64::from(shards) {
        let typed = section.get("batch_size");
        return Err(Problem {
            place: typed.map(|field| field.typed.place),
            key: "train.batch_size".into(),
            what: Wrong::BatchBelowShards { batch_size, shards },
        });
    }
    let adam = Optimizer::Adam(Adam { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0 });
    Ok(Train {
        epochs: section.whole("epochs", 10, 1, u64::MAX)?,
        batch_size,
        optimizer: section.get("optimizer").map_or(Ok(adam), |field| optimizer(&field))?,
        schedule: section
            .get("schedule")
            .map_or(Ok(Schedule { warmup_steps: 0, shape: Shape::Constant }), |field| schedule(&field))?,
        clip_norm: section
            .get("clip_norm")
            .map(|field| field.real(POSITIVE, |norm| norm > 0.0))
            .transpose()?,
        evaluate_every: section.get("evaluate_every").map(|field| field.whole(1, u64::MAX)).transpose()?,
        early_stopping: section
            .get("early_stopping")
            .map(|field| early_stopping(&field, validates))
            .transpose()?,
        class_weights: section.get("class_weights").map(|field| class_weights(&field, loss)).transpose()?,
        on_nonfinite: section
            .get("on_nonfinite")
            .map_or(Ok(OnNonfinite::Stop), |field| field.choice(&ON_NONFINITE))?,
        loss_spike: section.get("loss_spike").map(|field| loss_spike(&field)).transpose()?,
    })
}

fn class_weights(field: &Field, loss: Loss) -> Result<ClassWeights, Problem> {
    const WEIGHT: &str = "a weight: a number from 0 to 1e6";
    if !loss.takes_classes() {
        let expected = format!("nothing: {} learns a number, which has no classes", loss.name());
        return Err(field.unexpected(expected));
    }
    let Value::Table(weights) = &field.typed.value else {
        return match field.text(CLASS_WEIGHTS)? {
            "balanced" => Ok(ClassWeights::Balanced),
            _ => Err(field.unexpected(CLASS_WEIGHTS)),
        };
    };
    let weights = weights.iter().map(|(label, typed)| {
        let field = Field { key: format!("{}.{label}", field.key), typed: typed.clone() };
        Ok((label.clone(), field.real(WEIGHT, |weight| (0.0..=1e6).contains(&weight))?))
    });
    let weights = weights.collect::<Result<BTreeMap<_, _>, Problem>>()?;
    if weights.is_empty() {
        return Err(field.unexpected(CLASS_WEIGHTS));
    }
    Ok(ClassWeights::Of(weights))
}

fn early_stopping(field: &Field, validates: bool) -> Result<EarlyStopping, Problem> {
    let body = Section::new(field, &["patience", "metric", "min_delta"])?;
    let patience = body.need("patience", "how many evaluations in a row may bring nothing better")?;
    let loss = if validates { Ok(Metric::Loss) } else { Err(field.wrong(Wrong::NoValidation)) };
    Ok(EarlyStopping {
        patience: patience.whole(1, u64::MAX)?,
        metric: body.get("metric").map_or(loss, |field| metric(&field, validates))?,
        min_delta: body.real("min_delta", 0.0, NOT_NEGATIVE, not_negative)?,
    })
}

fn loss_spike(field: &Field) -> Result<LossSpike, Problem> {
    const FACTOR: &str = "a number above 1";
    let body = Section::new(field, &["factor", "window"])?;
    Ok(LossSpike {
        factor: body.need("factor", FACTOR)?.real(FACTOR, |factor| factor > 1.0)?,
        window: body.whole("window", 100, 1, LONGEST_WINDOW)?,
    })
}

/// Its losses are part of every checkpoint.
const LONGEST_WINDOW: u64 = 10_000;

fn optimizer(field: &Field) -> Result<Optimizer, Problem> {
    let (name, body) = field.tagged(&["sgd", "adam", "adamw"])?;
    match name.as_str() {
        "sgd" => sgd(field, body.as_ref()),
        "adam" => adam(field, body.as_ref(), 0.0).map(Optimizer::Adam),
        _ => adam(field, body.as_ref(), 0.01).map(Optimizer::AdamW),
    }
}

fn sgd(field: &Field, body: Option<&Field>) -> Result<Optimizer, Problem> {
    let body = Section::body(field, body, &["lr", "momentum", "nesterov", "weight_decay"])?;
    let momentum = body.real("momentum", 0.0, BELOW_ONE, below_one)?;
    let nesterov = body.get("nesterov");
    if let Some(field) = &nesterov
        && field.bool()?
        && momentum == 0.0
    {
        return Err(field.unexpected("false, or a momentum above 0"));
    }
    Ok(Optimizer::Sgd {
        lr: body.real("lr", 0.01, NOT_NEGATIVE, not_negative)?,
        momentum,
        nesterov: nesterov.map_or(Ok(false), |field| field.bool())?,
        weight_decay: body.real("weight_decay", 0.0, NOT_NEGATIVE, not_negative)?,
    })
}

fn adam(field: &Field, body: Option<&Field>, weight_decay: f64) -> Result<Adam, Problem> {
    let body = Section::body(field, body, &["lr", "betas", "eps", "weight_decay"])?;
    Ok(Adam {
        lr: body.real("lr", 1e-3, NOT_NEGATIVE, not_negative)?,
        betas: body.get("betas").map_or(Ok((0.9, 0.999)), |field| betas(&field))?,
        eps: body.real("eps", 1e-8, POSITIVE, |eps| eps > 0.0)?,
        weight_decay: body.real("weight_decay", weight_decay, NOT_NEGATIVE, not_negative)?,
    })
}

fn betas(field: &Field) -> Result<(f64, f64), Problem> {
    const EXPECTED: &str = "two numbers, such as [0.9, 0.999]";
    match field.list(EXPECTED)?.as_slice() {
        [first, second] => Ok((first.real(BELOW_ONE, below_one)?, second.real(BELOW_ONE, below_one)?)),
        _ => Err(field.unexpected(EXPECTED)),
    }
}

fn schedule(field: &Field) -> Result<Schedule, Problem> {
    let (name, body) = field.tagged(&["constant", "step", "exponential", "linear", "cosine"])?;
    let known: &[&str] = match name.as_str() {
        "constant" => &["warmup_steps"],
        "step" => &["warmup_steps", "every", "factor"],
        "exponential" => &["warmup_steps", "gamma"],
        _ => &["warmup_steps", "end"],
    };
    let body = Section::body(field, body.as_ref(), known)?;
    let end = || body.real("end", 0.0, NOT_NEGATIVE, not_negative);
    let shape = match name.as_str() {
        "constant" => Shape::Constant,
        "step" => Shape::Step {
            every: body.need("every", "the steps between two falls")?.whole(1, u64::MAX)?,
            factor: body.real("factor", 0.1, POSITIVE, |factor| factor > 0.0)?,
        },
        "exponential" => Shape::Exponential {
            gamma: body
                .need("gamma", "the factor of each step, such as 0.999")?
                .real(POSITIVE, |gamma| gamma > 0.0)?,
        },
        "linear" => Shape::Linear { end: end()? },
        _ => Shape::Cosine { end: end()? },
    };
    Ok(Schedule { warmup_steps: body.whole("warmup_steps", 0, 0, u64::MAX)?, shape })
}

fn not_negative(number: f64) -> bool {
    number >= 0.0
}

fn below_one(number: f64) -> bool {
    (0.0..1.0).contains(&number)
}
