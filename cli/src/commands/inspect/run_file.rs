//! A run file with its data: what it will train, and what that will cost.

use std::path::Path;

use lockstep_coordinator::assemble;
use lockstep_coordinator::datasets::Datasets;
use lockstep_core::model::{self, Model};
use lockstep_core::optimizer::Optimizer;
use lockstep_core::run::spec::Run;
use lockstep_core::wire;
use lockstep_data::{Encoder, FeatureType, Rows, Targets};
use serde_json::{Value, json};

use super::Description;
use super::prediction::{Cluster, Prediction};
use crate::coordinate::read_run;
use crate::failure::Failure;
use crate::print::{bytes, count, list, size, table};

/// # Errors
/// Bad run file or data.
pub(super) fn describe(path: &Path, cluster: Cluster) -> Result<Description, Failure> {
    let run = read_run(path, &[])?;
    let base = path.parent().unwrap_or(Path::new(""));
    let rows = lockstep_data::load(&run.data, lockstep_data::Goal::of(&run), run.seed, base)
        .map_err(Failure::bad)?;
    let rows = Datasets::new(rows);
    let model = assemble::model(&run, &rows)
        .map_err(|problem| Failure::bad(format!("{}: {problem}", path.display())))?;
    let layers: Vec<model::Cost> = model.costs().collect();
    let cost = Cost::of(&run, &model, &rows);
    let plan = assemble::plan(&run, &rows);
    let (forward, both) = model.multiply_adds();
    let validation = rows.validation.as_ref().map_or(0, |table| table.rows());
    let classes = rows.catalog.encoder.labels().map_or(0, <[String]>::len);
    let encoder = &rows.catalog.encoder;
    let balance = balance(encoder, &rows.train);
    let prediction = Prediction::of(cluster, &run, &model);
    let json = json!({
        "kind": "run file",
        "name": run.name,
        "loss": run.model.loss.name(),
        "rows": { "train": rows.train.rows(), "validation": validation },
        "sample": rows.train.shape().sample,
        "classes": classes,
        "class_balance": balance.iter().map(|class| class.json()).collect::<Vec<_>>(),
        "weight_column": encoder.weight_column(),
        "steps_per_epoch": plan.steps_per_epoch(),
        "steps": assemble::total_steps(&run, &rows),
        "parameters": model.layout().trained(),
        "statistics": model.layout().len() - model.layout().trained(),
        "multiply_adds_a_row": { "forward": forward, "forward_and_backward": both },
        "layers": layers.iter().map(as_json).collect::<Vec<_>>(),
        "bytes_a_step": { "up_a_node": cost.up, "down_a_worker": cost.down },
        "memory": { "worker": cost.worker, "coordinator": cost.coordinator },
        "prediction": prediction.map(Prediction::json),
    });
    let mut facts = vec![
        ("run", format!("{} ({})", run.name, path.display())),
        ("rows", format!("{} to train on, {} to validate on", count(rows.train.rows()), count(validation))),
        ("a row", format!("{:?}{}", rows.train.shape().sample, classes_text(classes))),
        ("classes", classes_shown(&balance)),
        (
            "weights",
            encoder.weight_column().map(|column| format!("the column {column:?}")).unwrap_or_default(),
        ),
        ("loss", run.model.loss.name().into()),
        ("parameters", format!("{} ({})", size(model.layout()), bytes(4 * model.layout().len() as u64))),
        ("arithmetic", format!("{} multiply-adds a row, {} with backward", count(forward), count(both))),
        (
            "steps",
            format!(
                "{} of {} rows in {} shards: {} an epoch, {} epochs",
                count(assemble::total_steps(&run, &rows)),
                count(plan.batch()),
                plan.shards(),
                count(plan.steps_per_epoch()),
                run.train.epochs
            ),
        ),
        ("a step moves", format!("{} up a node, {} down a worker", bytes(cost.up), bytes(cost.down))),
        ("memory", format!("about {} in one worker of all shards", bytes(cost.worker))),
        ("", format!("about {} in the coordinator", bytes(cost.coordinator))),
    ];
    facts.retain(|(name, fact)| name.is_empty() || !fact.is_empty());
    facts.extend(prediction.map(|prediction| ("a step takes", prediction.text())));
    let header = ["layer", "inputs", "outputs", "parameters", "multiply-adds"].map(String::from).to_vec();
    let lines = std::iter::once(header).chain(layers.iter().map(cells));
    let text = format!("{}\n{}", list(&facts), table(&lines.collect::<Vec<_>>()));
    Ok(Description { json, text })
}

fn classes_text(classes: usize) -> String {
    if classes == 0 {
        ", a number to predict".into()
    } else {
        format!(", one of {classes} classes to predict")
    }
}

/// A class among the training rows.
struct Balance<'a> {
    label: &'a str,
    rows: u64,
    weight: f64,
}

impl Balance<'_> {
    fn json(&self) -> Value {
        json!({ "label": self.label, "rows": self.rows, "weight": self.weight })
    }
}

fn balance<'a>(encoder: &'a Encoder, train: &Rows) -> Vec<Balance<'a>> {
    let weights = encoder.weights.as_ref().and_then(|weights| weights.classes.as_deref()).unwrap_or_default();
    let labels = encoder.labels().unwrap_or_default().iter().enumerate();
    let mut classes: Vec<_> = labels
        .map(|(class, label)| Balance { label, rows: 0, weight: weights.get(class).copied().unwrap_or(1.0) })
        .collect();
    // Rows in blocks are not counted: it would take a pass over all of them.
    let Rows::Whole(train) = train else { return Vec::new() };
    if let Targets::Classes { of, .. } = train.targets() {
        for class in of {
            classes.get_mut(*class as usize).into_iter().for_each(|class| class.rows += 1);
        }
    }
    classes
}

/// Empty without classes, and where there are too many for a line.
fn classes_shown(classes: &[Balance<'_>]) -> String {
    const MOST: usize = 10;
    let shown = |class: &Balance<'_>| match class.weight {
        1.0 => format!("{} {}", class.label, count(class.rows)),
        weight => format!("{} {} (of weight {weight:.3})", class.label, count(class.rows)),
    };
    if classes.len() > MOST {
        return String::new();
    }
    classes.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn as_json(layer: &model::Cost) -> Value {
    let model::Cost { name, inputs, outputs, parameters, multiply_adds } = layer;
    json!({
        "layer": name, "inputs": inputs, "outputs": outputs,
        "parameters": parameters, "multiply_adds": multiply_adds,
    })
}

fn cells(layer: &model::Cost) -> Vec<String> {
    let model::Cost { name, inputs, outputs, parameters, multiply_adds } = layer;
    let numbers = [inputs, outputs, parameters].map(|number| count(*number as u64));
    std::iter::once(name.clone()).chain(numbers).chain([count(*multiply_adds)]).collect()
}

/// In bytes. Memory counts vectors of the parameters' length, values between layers and rows; what a
/// process needs besides is small and the same for every run.
struct Cost {
    up: u64,
    down: u64,
    worker: u64,
    coordinator: u64,
}

impl Cost {
    fn of(run: &Run, model: &Model, rows: &Datasets) -> Self {
        let (trained, all) = (model.layout().trained() as u64, model.layout().len() as u64);
        // Up, running statistics are never rounded; down they are like everything else.
        let width = wire::width(run.cluster.wire) as u64;
        let (up, down) = (trained * width + 4 * (all - trained), all * width);
        let vector = 4 * all;
        let stored = [Some(&rows.train), rows.validation.as_ref()]
            .into_iter()
            .flatten()
            .map(|rows| stored(run, rows))
            .sum::<u64>();
        // Input, every layer's output, and two gradients of the widest.
        let widths: Vec<u64> = model.costs().map(|layer| layer.outputs as u64).collect();
        let widest = widths.iter().copied().max().unwrap_or(0);
        let values = model.inputs() as u64 + widths.iter().sum::<u64>() + 2 * widest;
        let largest =
            (0..model.layers()).map(|layer| model.parameters(layer).len() as u64).max().unwrap_or(0);
        // Both halves of the weights, the node's gradient and what of it waits to be sent; a layer's
        // gradient in each shard.
        let worker = 3 * vector
            + up
            + 4 * largest * u64::from(run.cluster.shards)
            + 4 * values * run.train.batch_size
            + stored;
        let moments = Optimizer::<f32>::new(run.train.optimizer, 0).state().count() as u64;
        let clipping = u64::from(run.train.clip_norm.is_some());
        let levels = u64::from(run.cluster.shards.next_power_of_two().trailing_zeros()) + 1;
        // Both halves, the moments and a checkpoint's copy; sums that wait; weights as they are sent.
        let coordinator = (3 + 2 * moments + clipping + levels) * vector + down + stored;
        Self { up, down, worker, coordinator }
    }
}

/// Rows that are held; of rows in blocks, what may be held of them.
fn stored(run: &Run, rows: &Rows) -> u64 {
    let shape = rows.shape();
    let values = shape.rows * shape.width().unwrap_or(0) as u64;
    let all = 4 * shape.rows + if shape.features == FeatureType::U8 { values } else { 4 * values };
    if matches!(rows, Rows::Blocks(_)) { all.min(run.data.in_memory) } else { all }
}
