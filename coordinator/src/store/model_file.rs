//! The model file: weights, and in the metadata all that it takes to use them on raw rows.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use lockstep_core::digest::Digest;
use lockstep_core::layout::Layout;
use lockstep_core::metrics::Kind;
use lockstep_core::model::{Model, Target};
use lockstep_core::run::spec::Run;
use lockstep_core::run::{parse, to_toml};
use lockstep_core::tensors::{self, Tensor, View};
use lockstep_data::Encoder;

use super::checkpoint::{newest_of, open_checkpoint};
use super::error::{Damage, StoreError};
use super::manifest::Manifest;
use super::{files, names};

/// A trained model, ready to be used.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// The run that trained it, resolved.
    pub run: Run,
    /// From raw rows to what the model sees, and back.
    pub encoder: Encoder,
    /// The network.
    pub model: Model,
    /// W(step), running statistics behind the parameters.
    pub weights: Vec<f32>,
    /// Steps that were done.
    pub step: u64,
    /// Of the weights and the optimizer beside them.
    pub digest: Digest,
}

const RUN: &str = "lockstep.run";
const ENCODER: &str = "lockstep.encoder";
const STEP: &str = "lockstep.step";
const DIGEST: &str = "lockstep.digest";
const CONTENT: &str = "lockstep.content";
const VERSION: &str = "lockstep.version";

/// What the model's outputs are for rows of this encoder.
pub fn target_of(encoder: &Encoder) -> Target {
    encoder.labels().map_or(Target::Values(1), |labels| Target::Classes(labels.len()))
}

/// What is reported of the model's predictions, in the target's own unit.
pub fn kind_of(encoder: &Encoder) -> Kind {
    match encoder.target {
        lockstep_data::Target::Classes { .. } => Kind::Classes,
        lockstep_data::Target::Values { deviation, .. } => Kind::Numbers { unit: deviation },
    }
}

/// Reads the model of a run directory (the final one, else that of the newest valid checkpoint), of a
/// checkpoint's directory, or of a `.safetensors` file.
///
/// # Errors
/// There is none, or it is damaged.
pub fn open_model(path: &Path) -> Result<ModelFile, StoreError> {
    if !path.is_dir() {
        return if path.is_file() { read(path, &files::read(path)?) } else { Err(no_model(path)) };
    }
    if path.join(names::MANIFEST).is_file() {
        let bytes = Manifest::read(path)?.file(path, names::MODEL)?;
        return read(&path.join(names::MODEL), &bytes);
    }
    let whole = path.join(names::MODEL);
    if whole.is_file() {
        return read(&whole, &files::read(&whole)?);
    }
    let Some((folder, _)) = newest_of(path, open_checkpoint)?.accepted else { return Err(no_model(path)) };
    let model = folder.join(names::MODEL);
    read(&model, &files::read(&model)?)
}

/// Reads the model of the best evaluation of a run directory, by its `checkpoint.best`.
///
/// # Errors
/// It has none, or it is damaged.
pub fn open_best(path: &Path) -> Result<ModelFile, StoreError> {
    let none = |why| StoreError::NoBest { path: path.to_owned(), why };
    let best = path.join(names::BEST);
    if best.is_file() {
        return read(&best, &files::read(&best)?);
    }
    if !path.is_dir() || path.join(names::MANIFEST).is_file() {
        return Err(none("only a run directory has a best model"));
    }
    let Some((_, newest)) = newest_of(path, open_checkpoint)?.accepted else {
        return Err(none("there is no valid checkpoint yet"));
    };
    match newest.progress.best.and_then(|best| best.step()) {
        Some(step) => open_model(&path.join(format!("checkpoint-{step}"))),
        None => Err(none(
            "there is no best model: the run file sets no checkpoint.best, or nothing was evaluated yet",
        )),
    }
}

fn no_model(path: &Path) -> StoreError {
    StoreError::NoModel(path.to_owned())
}

/// The metadata of a model file.
pub(super) fn metadata(
    run: &Run,
    encoder: &Encoder,
    (step, digest): (u64, Digest),
    views: &[View<'_>],
) -> BTreeMap<String, String> {
    let (run, encoder) = (to_toml(run), encoder.to_json());
    let entries = [
        // What PyTorch's own readers look for.
        ("format", "pt".into()),
        (CONTENT, content([&run, &encoder], (step, digest), views).to_string()),
        (RUN, run),
        (ENCODER, encoder),
        (STEP, step.to_string()),
        (DIGEST, digest.to_string()),
        (VERSION, env!("CARGO_PKG_VERSION").into()),
    ];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// SHA-256 of all that a model is: a copy that is damaged anywhere is not believed.
fn content(texts: [&str; 2], (step, digest): (u64, Digest), views: &[View<'_>]) -> Digest {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(digest.as_bytes());
    bytes.extend_from_slice(Digest::new(step, views.iter().copied()).as_bytes());
    Digest::of(&bytes)
}

/// Parameters and running statistics by name.
pub(super) fn views<'a>(layout: &'a Layout, weights: &'a [f32]) -> Vec<View<'a>> {
    let view = |tensor: &'a lockstep_core::layout::Tensor| View {
        name: &tensor.name,
        shape: &tensor.shape,
        data: weights.get(tensor.range.clone()).unwrap_or_default(),
    };
    layout.tensors().iter().map(view).collect()
}

/// A model of a file's bytes; `path` is for errors.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<ModelFile, StoreError> {
    parsed(bytes).map_err(|what| StoreError::damaged(path, what))
}

fn parsed(bytes: &[u8]) -> Result<ModelFile, Damage> {
    let contents = tensors::read(bytes)?;
    let text = |key| contents.metadata.get(key).map(String::as_str).ok_or(Damage::NoMetadata(key));
    let run = parse(text(RUN)?, &[])?;
    let encoder = Encoder::from_json(text(ENCODER)?)
        .map_err(|error| Damage::Metadata { key: ENCODER, why: error.to_string() })?;
    let step = entry(STEP, text(STEP)?)?;
    let digest = entry(DIGEST, text(DIGEST)?)?;
    let model = Model::embedding(&run.model, &encoder.sample(), &encoder.embeddings(), target_of(&encoder))?;
    let expected =
        model.layout().tensors().iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()));
    check(&contents.tensors, expected)?;
    let views: Vec<View<'_>> = contents.tensors.iter().map(Tensor::view).collect();
    let found = content([text(RUN)?, text(ENCODER)?], (step, digest), &views);
    let expected = entry(CONTENT, text(CONTENT)?)?;
    if found != expected {
        return Err(Damage::Content { found, expected });
    }
    let weights = contents.tensors.into_iter().flat_map(|tensor| tensor.data).collect();
    Ok(ModelFile { run, encoder, model, weights, step, digest })
}

fn entry<T: FromStr<Err: Display>>(key: &'static str, text: &str) -> Result<T, Damage> {
    text.parse().map_err(|error: T::Err| Damage::Metadata { key, why: error.to_string() })
}

/// Whether these are exactly the tensors expected, in their order.
pub(super) fn check<'a>(
    found: &[Tensor],
    expected: impl Iterator<Item = (&'a str, &'a [usize])>,
) -> Result<(), Damage> {
    let show = |tensor: Option<(&str, &[usize])>| match tensor {
        Some((name, shape)) => format!("tensor `{name}` of shape {shape:?}"),
        None => "no more tensors".into(),
    };
    let mut found = found.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()));
    for expected in expected.map(Some).chain([None]) {
        let found = found.next();
        if found != expected {
            return Err(Damage::Tensors { found: show(found), expected: show(expected) });
        }
    }
    Ok(())
}
