//! Checkpoints: a folder that appears whole, and is believed only if every byte is what was written.
//!
//! ```text
//! .checkpoint-400.tmp/   each file written and synced, the manifest last; all read back
//!        │ digests.jsonl, then rename, sync the run directory
//! checkpoint-400/        only now are older ones removed
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lockstep_core::chain::{Inputs, Link};
use lockstep_core::digest::Digest;
use lockstep_core::layout::Layout;
use lockstep_core::optimizer::Optimizer;
use lockstep_core::run::{differences, spec};
use lockstep_core::tensors::{self, View};
use lockstep_data::{Encoder, Shape};
use serde::{Deserialize, Serialize};

use super::directory::Stored;
use super::error::{Damage, StoreError};
use super::manifest::{FORMAT, Manifest};
use super::{files, model_file, moments, names};
use crate::machine::Save;
use crate::progress::Progress;
use crate::reducer::Snapshot;

/// A checkpoint that was read: whole, and of the digest that it names.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Steps that are done.
    pub step: u64,
    /// Of the weights and the optimizer.
    pub digest: Digest,
    /// Whether its digest is in the chain that everyone can compare.
    pub milestone: bool,
    /// How far the run is.
    pub progress: Progress,
    /// What the training rows are.
    pub train: Shape,
    /// What its digests follow from.
    pub inputs: Inputs,
    /// Where the chain of digests is.
    pub link: Link,
    /// The run, resolved.
    pub run: spec::Run,
    /// Fitted on the training rows.
    pub encoder: Encoder,
    /// W(step)
    pub weights: Vec<f32>,
    /// After `step` steps.
    pub optimizer: Optimizer<f32>,
}

/// `state.json`
#[derive(Debug, Serialize, Deserialize)]
struct State {
    milestone: bool,
    train: Shape,
    inputs: Inputs,
    chain: Link,
    progress: Progress,
}

/// A checkpoint that is written and read back, and has no name yet.
pub(super) struct Filled<'a> {
    directory: &'a Path,
    folder: PathBuf,
    step: u64,
}

/// Writes a checkpoint of this digest beside its place, and reads it back.
pub(super) fn fill<'a>(
    directory: &'a Path,
    stored: &Stored,
    save: &Save,
    snapshot: &Snapshot,
    digest: Digest,
    chain: Link,
) -> Result<Filled<'a>, StoreError> {
    let step = snapshot.step;
    let folder = directory.join(format!(".{PREFIX}{step}.tmp"));
    files::remove_folder(&folder)?;
    let filled = Filled { directory, folder, step };
    let Stored { run, encoder, layout, train, inputs, .. } = stored;
    let state = State {
        milestone: save.milestone,
        train: train.clone(),
        inputs: *inputs,
        chain,
        progress: save.progress.clone(),
    };
    let views = model_file::views(layout, &snapshot.weights);
    let metadata = model_file::metadata(run, encoder, (step, digest), &views);
    write_files(&filled.folder, layout, snapshot, &metadata, &state, digest)?;
    Ok(filled)
}

fn write_files(
    folder: &Path,
    layout: &Layout,
    snapshot: &Snapshot,
    metadata: &BTreeMap<String, String>,
    state: &State,
    digest: Digest,
) -> Result<(), StoreError> {
    files::create_folder(folder)?;
    let tensors = SnapshotTensors::new(layout, snapshot);
    let step = BTreeMap::from([("lockstep.step".to_owned(), snapshot.step.to_string())]);
    let mut entries = BTreeMap::new();
    for (name, metadata, views) in
        [(names::MODEL, metadata, tensors.model()), (names::OPTIMIZER, &step, tensors.optimizer())]
    {
        entries.insert(name.to_owned(), write_tensors(&folder.join(name), metadata, &views)?);
    }
    entries.insert(names::STATE.to_owned(), write_json(&folder.join(names::STATE), state)?);
    let manifest = Manifest { format: FORMAT, step: snapshot.step, digest, files: entries };
    write_json(&folder.join(names::MANIFEST), &manifest)?;
    files::sync_folder(Some(folder))?;
    Manifest::read(folder)?.check(folder)
}

/// A snapshot's tensors by name.
pub(super) struct SnapshotTensors<'a> {
    layout: &'a Layout,
    snapshot: &'a Snapshot,
    names: Vec<String>,
}

impl<'a> SnapshotTensors<'a> {
    pub(super) fn new(layout: &'a Layout, snapshot: &'a Snapshot) -> Self {
        let moments: Vec<&str> = snapshot.optimizer.iter().map(|(name, _)| *name).collect();
        Self { layout, snapshot, names: moments::names(layout, &moments) }
    }

    fn model(&self) -> Vec<View<'_>> {
        model_file::views(self.layout, &self.snapshot.weights)
    }

    fn optimizer(&self) -> Vec<View<'_>> {
        let values: Vec<&[f32]> =
            self.snapshot.optimizer.iter().map(|(_, values)| values.as_slice()).collect();
        moments::views(self.layout, &self.names, &values)
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::new(self.snapshot.step, self.model().into_iter().chain(self.optimizer()))
    }
}

/// The digest of a run at W(step).
pub fn digest_of(layout: &Layout, snapshot: &Snapshot) -> Digest {
    SnapshotTensors::new(layout, snapshot).digest()
}

impl Filled<'_> {
    /// Gives it its name. One of the same step has the same bits, or was not believed.
    pub(super) fn place(self) -> Result<(), StoreError> {
        let name = self.directory.join(format!("{PREFIX}{}", self.step));
        retire(self.directory, &name)?;
        files::rename(&self.folder, &name)?;
        files::sync_folder(Some(self.directory))
    }
}

/// Removes what is left of a checkpoint that could not be written: its room is needed.
pub(super) fn give_up(directory: &Path, step: u64) {
    // That it cannot be removed either is no news.
    let _ = files::remove_folder(&directory.join(format!(".{PREFIX}{step}.tmp")));
}

fn write_tensors(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    views: &[View<'_>],
) -> Result<super::manifest::Entry, StoreError> {
    files::write(path, |out| match tensors::write(out, metadata, views) {
        Ok(()) => Ok(()),
        Err(tensors::WriteError::Io(error)) => Err(StoreError::io(path, "be written")(error)),
        Err(source) => Err(StoreError::Unwritable { path: path.to_owned(), source }),
    })
}

fn write_json(path: &Path, content: &impl Serialize) -> Result<super::manifest::Entry, StoreError> {
    files::write(path, |out| {
        serde_json::to_writer_pretty(&mut *out, content)
            .map_err(io::Error::from)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(StoreError::io(path, "be written"))
    })
}

/// Removes a checkpoint; one that is half removed has no name that is read.
fn retire(directory: &Path, checkpoint: &Path) -> Result<(), StoreError> {
    let Some(name) = checkpoint.file_name().filter(|_| checkpoint.is_dir()) else { return Ok(()) };
    let aside = directory.join(format!(".{}.old", name.to_string_lossy()));
    files::remove_folder(&aside)?;
    files::rename(checkpoint, &aside)?;
    files::remove_folder(&aside)
}

/// Removes all checkpoints but the newest `keep`, and at least one; and the best one.
pub(super) fn prune(directory: &Path, keep: usize, best: Option<u64>) -> Result<(), StoreError> {
    let all = checkpoints(directory)?;
    for (_, old) in all.iter().skip(keep.max(1)).filter(|(step, _)| Some(*step) != best) {
        retire(directory, old)?;
    }
    Ok(())
}

/// Removes what a start that was killed left half-done.
pub(super) fn sweep(directory: &Path) -> Result<(), StoreError> {
    for (name, path) in entries(directory)? {
        let inner = name
            .strip_prefix('.')
            .and_then(|name| name.strip_suffix(".tmp").or_else(|| name.strip_suffix(".old")));
        if inner.and_then(number).is_some() {
            files::remove_folder(&path)?;
        }
    }
    Ok(())
}

/// The checkpoints of a run directory, the newest first; they are not looked into.
///
/// # Errors
/// The directory cannot be listed.
pub fn checkpoints(directory: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut found: Vec<(u64, PathBuf)> = entries(directory)?
        .into_iter()
        .filter_map(|(name, path)| Some((number(&name)?, path)))
        .filter(|(_, path)| path.is_dir())
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    Ok(found)
}

fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let failed = || StoreError::io(directory, "be listed");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

/// The step of a folder's name, exactly as it is written.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    digits.parse().ok().filter(|step: &u64| step.to_string() == digits)
}

/// The newest checkpoint that was accepted, and newer ones that were not.
pub(super) struct Newest<T> {
    pub(super) accepted: Option<(PathBuf, T)>,
    pub(super) refused: Vec<(PathBuf, StoreError)>,
}

/// Opens checkpoints, the newest first, until one is accepted.
pub(super) fn newest_of<T>(
    directory: &Path,
    open: impl Fn(&Path) -> Result<T, StoreError>,
) -> Result<Newest<T>, StoreError> {
    let mut refused = Vec::new();
    for (step, folder) in checkpoints(directory)? {
        match open(&folder).and_then(|opened| named_rightly(&folder, step).map(|()| opened)) {
            Ok(opened) => return Ok(Newest { accepted: Some((folder, opened)), refused }),
            Err(error) if error.is_damage() => refused.push((folder, error)),
            Err(error) => return Err(error),
        }
    }
    Ok(Newest { accepted: None, refused })
}

fn named_rightly(folder: &Path, expected: u64) -> Result<(), StoreError> {
    match Manifest::read(folder)?.step {
        found if found == expected => Ok(()),
        found => Err(StoreError::damaged(folder, Damage::Step { found, expected })),
    }
}

/// Reads a checkpoint's folder and believes nothing: hashes, shapes, steps and digest must agree.
///
/// # Errors
/// The first thing that is wrong, naming the file.
pub fn open_checkpoint(folder: &Path) -> Result<Checkpoint, StoreError> {
    let manifest = Manifest::read(folder)?;
    let [model_path, optimizer_path, state_path] =
        [names::MODEL, names::OPTIMIZER, names::STATE].map(|name| folder.join(name));
    let model = model_file::read(&model_path, &manifest.file(folder, names::MODEL)?)?;
    let damaged = |what: Damage| StoreError::damaged(&optimizer_path, what);
    let tensors = tensors::read(&manifest.file(folder, names::OPTIMIZER)?)
        .map_err(|error| damaged(error.into()))?
        .tensors;
    let layout = model.model.layout();
    let optimizer = moments::restored(layout, model.run.train.optimizer, &tensors).map_err(damaged)?;
    let state: State = serde_json::from_slice(&manifest.file(folder, names::STATE)?)
        .map_err(|error| StoreError::damaged(&state_path, error))?;

    let expected = manifest.step;
    for (found, path) in [(model.step, &model_path), (state.progress.step, &state_path)] {
        if found != expected {
            return Err(StoreError::damaged(path, Damage::Step { found, expected }));
        }
    }
    let views = model_file::views(layout, &model.weights);
    let found =
        Digest::new(manifest.step, views.into_iter().chain(tensors.iter().map(tensors::Tensor::view)));
    if let Some(expected) = [manifest.digest, model.digest].into_iter().find(|digest| *digest != found) {
        return Err(StoreError::damaged(&folder.join(names::MANIFEST), Damage::Digest { found, expected }));
    }
    Ok(Checkpoint {
        step: manifest.step,
        digest: found,
        milestone: state.milestone,
        progress: Progress { saved_step: Some(manifest.step), ..state.progress },
        train: state.train,
        inputs: state.inputs,
        link: state.chain,
        run: model.run,
        encoder: model.encoder,
        weights: model.weights,
        optimizer,
    })
}

/// As [`open_checkpoint`], and of this run.
pub(super) fn open_own(folder: &Path, run: &spec::Run) -> Result<Checkpoint, StoreError> {
    let checkpoint = open_checkpoint(folder)?;
    match differences(run, &checkpoint.run).into_iter().next() {
        None => Ok(checkpoint),
        Some((key, expected, found)) => {
            Err(StoreError::damaged(&folder.join(names::MODEL), Damage::Foreign { key, found, expected }))
        }
    }
}

const PREFIX: &str = "checkpoint-";
