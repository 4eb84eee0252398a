//! A run's directory: made, or found and gone on with.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use lockstep_core::chain::Inputs;
use lockstep_core::digest::Digest;
use lockstep_core::layout::Layout;
use lockstep_core::metrics::Kind;
use lockstep_core::model::Model;
use lockstep_core::run::spec::Run;
use lockstep_core::run::{differences, parse, to_toml};
use lockstep_data::{Encoder, Shape};
use serde_json::Value;

use super::checkpoint::{self, Checkpoint, Newest, digest_of};
use super::digests::{Digests, Held};
use super::environment::{self, Environment};
use super::error::{Damage, StoreError};
use super::lines::{self, EvaluationLine, Lines, SkippedLine, StepLine};
use super::manifest::Manifest;
use super::model_file::kind_of;
use super::results::Results;
use super::{files, names};
use crate::machine::{Fingerprint, Save};
use crate::progress::{Record, StepRecord};
use crate::reducer::Snapshot;

/// What makes a run this run.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The run, resolved.
    pub run: &'a Run,
    /// Fitted on the training rows.
    pub encoder: &'a Encoder,
    /// The network.
    pub model: &'a Model,
    /// What the training rows are.
    pub train: &'a Shape,
    /// What its digests follow from.
    pub inputs: Inputs,
    /// The folder from which the run file's relative paths start.
    pub base: &'a Path,
}

/// What is stored with every checkpoint.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) run: Run,
    pub(super) encoder: Encoder,
    pub(super) layout: Layout,
    pub(super) train: Shape,
    pub(super) inputs: Inputs,
    pub(super) base: PathBuf,
}

/// A run directory that this process owns until it drops it.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    stored: Stored,
    metrics: Lines,
    digests: Digests,
    /// Locked, so that no second coordinator writes here.
    _lock: File,
}

/// A run directory and where its run goes on from.
#[derive(Debug)]
pub struct Opened {
    /// The directory.
    pub directory: RunDirectory,
    /// The number of this start of the run's coordinator, from 1; stored already.
    pub start: u32,
    /// The newest valid checkpoint; none: the run begins at W(0).
    pub checkpoint: Option<Checkpoint>,
    /// What the run's first worker computed.
    pub fingerprint: Option<Fingerprint>,
    /// Newer checkpoints that were not believed, each renamed to `checkpoint-<step>.damaged`.
    pub skipped: Vec<StoreError>,
}

/// Whether a run may use a directory: to be asked before data are read. Changes nothing.
///
/// # Errors
/// It holds a run and `resume` is not asked for, or the stored run differs in what a resume may not
/// change, or cannot be read.
pub fn check(path: &Path, resume: bool, run: &Run) -> Result<(), StoreError> {
    if !holds_a_run(path)? {
        return Ok(());
    }
    if !resume {
        return Err(StoreError::Taken(path.to_owned()));
    }
    let file = path.join(names::RUN);
    let text = files::read(&file)?;
    let stored =
        parse(&String::from_utf8_lossy(&text), &[]).map_err(|problem| StoreError::damaged(&file, problem))?;
    let differences = differences(&stored, run);
    if differences.is_empty() {
        return Ok(());
    }
    Err(StoreError::Differs { directory: path.to_owned(), differences })
}

fn holds_a_run(path: &Path) -> Result<bool, StoreError> {
    let left = [names::RUN, names::MODEL, names::RESULTS].iter().any(|name| path.join(name).exists());
    Ok(left || (path.is_dir() && !checkpoint::checkpoints(path)?.is_empty()))
}

impl RunDirectory {
    /// Makes the directory of a new run; with `resume`, goes on with the run that it holds, or begins
    /// where there is none.
    ///
    /// # Errors
    /// As [`check`]; another coordinator writes there; the training rows are not those that the run
    /// began with; or the system refuses.
    pub fn create_or_resume(path: &Path, resume: bool, identity: Identity<'_>) -> Result<Opened, StoreError> {
        fs::create_dir_all(path).map_err(StoreError::io(path, "be created"))?;
        let lock = lock(path)?;
        check(path, resume, identity.run)?;
        checkpoint::sweep(path)?;
        let (checkpoint, skipped) = newest(path, identity.run)?;
        if let Some(checkpoint) = &checkpoint {
            same_rows(path, checkpoint, identity)?;
        }
        // The process may have ended between a new checkpoint and the removal of an old one.
        let best = checkpoint.as_ref().and_then(|checkpoint| checkpoint.progress.best?.step());
        checkpoint::prune(path, identity.run.checkpoint.keep, best)?;
        let fingerprint = environment::fingerprint(path)?;
        let start = count_start(path)?;
        let Identity { run, encoder, model, train, inputs, base } = identity;
        Environment::here(fingerprint.as_ref(), inputs, base).write(path)?;
        cut(path, checkpoint.as_ref())?;
        let held = checkpoint.as_ref().map(|Checkpoint { step, link, .. }| Held { step: *step, link: *link });
        let digests = Digests::open(path, &inputs, held)?;
        // Last: with it, the directory holds a run.
        files::replace(&path.join(names::RUN), to_toml(run).as_bytes())?;
        files::sync_folder(path.parent())?;

        let directory = Self {
            path: path.to_owned(),
            stored: Stored {
                run: run.clone(),
                encoder: encoder.clone(),
                layout: model.layout().clone(),
                train: train.clone(),
                inputs,
                base: base.to_owned(),
            },
            metrics: Lines::open(path.join(names::METRICS))?,
            digests,
            _lock: lock,
        };
        Ok(Opened { directory, start, checkpoint, fingerprint, skipped })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the log goes.
    pub fn log(&self) -> PathBuf {
        self.path.join(names::LOG)
    }

    /// Stores what the run's first worker computed; on disk when it returns.
    ///
    /// # Errors
    /// The system refuses.
    pub fn remember(&self, fingerprint: &Fingerprint) -> Result<(), StoreError> {
        let Stored { inputs, base, .. } = &self.stored;
        Environment::here(Some(fingerprint), *inputs, base).write(&self.path)
    }

    /// Appends a line of metrics.
    ///
    /// # Errors
    /// The system refuses; no part of the line is left.
    pub fn record(&self, record: &Record) -> Result<(), StoreError> {
        match *record {
            Record::Step(StepRecord { step, epoch, loss, lr, norm, rows, seconds, workers, .. }) => {
                let samples_per_second = rows as f64 / seconds;
                let line = StepLine { step, epoch, loss, lr, norm, samples_per_second, seconds, workers };
                self.metrics.append(&line)
            }
            Record::Skipped { step, epoch } => {
                self.metrics.append(&SkippedLine { step, epoch, skipped: true })
            }
            Record::Evaluation { step, epoch, sums } => {
                self.metrics.append(&EvaluationLine { step, epoch, validation: sums.report(self.kind()) })
            }
        }
    }

    /// Writes a checkpoint, notes its digest if it is a milestone, and removes those that are not kept.
    /// For one thread at a time.
    ///
    /// # Errors
    /// The system refuses. The checkpoints before are still there, and nothing is half-written.
    pub fn write_checkpoint(&self, save: &Save, snapshot: &Snapshot) -> Result<Digest, StoreError> {
        let digest = digest_of(&self.stored.layout, snapshot);
        if save.milestone {
            // Even if the checkpoint fails: the chain has no gaps.
            self.digests.add(snapshot.step, digest);
        }
        if let Err(error) = self.write_and_place(save, snapshot, digest) {
            checkpoint::give_up(&self.path, snapshot.step);
            return Err(error);
        }
        let best = save.progress.best.and_then(|best| best.step());
        if let Err(error) = checkpoint::prune(&self.path, self.stored.run.checkpoint.keep, best) {
            tracing::warn!("an old checkpoint stays: {error}");
        }
        Ok(digest)
    }

    /// A checkpoint has its name only when it was read back and all lines of the chain before it are on
    /// disk: whatever ends the process, a resume finds both.
    fn write_and_place(&self, save: &Save, snapshot: &Snapshot, digest: Digest) -> Result<(), StoreError> {
        let link = self.digests.link();
        let filled = checkpoint::fill(&self.path, &self.stored, save, snapshot, digest, link)?;
        self.digests.write()?;
        filled.place()
    }

    /// Puts the end beside the checkpoints: the model of the checkpoint of the last step, which must be
    /// there, and then the results.
    ///
    /// # Errors
    /// The checkpoint cannot be read, or the system refuses.
    pub fn finish(&self, results: &Results) -> Result<(), StoreError> {
        self.copy_model(results.steps, names::MODEL)?;
        let path = self.path.join(names::RESULTS);
        let text =
            serde_json::to_string_pretty(results).map_err(|error| StoreError::damaged(&path, error))?;
        files::replace(&path, (text + "\n").as_bytes())
    }

    /// Puts the best model beside the last one; to be called before [`Self::finish`].
    ///
    /// # Errors
    /// Its checkpoint cannot be read, or the system refuses.
    pub fn finish_best(&self, best: u64) -> Result<(), StoreError> {
        self.copy_model(best, names::BEST)
    }

    fn copy_model(&self, step: u64, name: &str) -> Result<(), StoreError> {
        let folder = self.path.join(format!("checkpoint-{step}"));
        let manifest = Manifest::read(&folder)?;
        let entry = manifest.entry(&folder, names::MODEL)?;
        files::replace_by_copy(&self.path.join(name), &folder.join(names::MODEL), entry)
    }

    /// What evaluations report.
    pub fn kind(&self) -> Kind {
        kind_of(&self.stored.encoder)
    }
}

/// A lock on the folder itself; where the file system has none, nothing is locked.
fn lock(path: &Path) -> Result<File, StoreError> {
    let folder = File::open(path).map_err(StoreError::io(path, "be opened"))?;
    match folder.try_lock() {
        Err(TryLockError::WouldBlock) => Err(StoreError::Busy(path.to_owned())),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(folder),
    }
}

fn newest(path: &Path, run: &Run) -> Result<(Option<Checkpoint>, Vec<StoreError>), StoreError> {
    let Newest { accepted, refused } =
        checkpoint::newest_of(path, |folder| checkpoint::open_own(folder, run))?;
    let mut skipped = Vec::new();
    for (folder, error) in refused {
        // Aside, so that it is neither counted among those that are kept nor in the way of its step.
        let mut aside = OsString::from(&folder);
        aside.push(".damaged");
        files::remove_folder(Path::new(&aside))?;
        files::rename(&folder, Path::new(&aside))?;
        skipped.push(error);
    }
    Ok((accepted.map(|(_, checkpoint)| checkpoint), skipped))
}

fn same_rows(path: &Path, checkpoint: &Checkpoint, identity: Identity<'_>) -> Result<(), StoreError> {
    let what = if checkpoint.train != *identity.train {
        format!(
            "there were {} of shape {:?}, now there are {} of shape {:?}",
            checkpoint.train.rows, checkpoint.train.sample, identity.train.rows, identity.train.sample
        )
    } else if checkpoint.encoder != *identity.encoder {
        "their columns, classes, means or deviations are others".into()
    } else if checkpoint.inputs.train != identity.inputs.train {
        "their values are others".into()
    } else if checkpoint.inputs.validation != identity.inputs.validation {
        "the validation rows are others".into()
    } else {
        return Ok(());
    };
    Err(StoreError::OtherData { directory: path.to_owned(), what })
}

/// The number of this start, on disk before anyone sees it.
fn count_start(path: &Path) -> Result<u32, StoreError> {
    let file = path.join(names::STARTS);
    let before = match files::read_if_there(&file)? {
        None => 0,
        Some(text) => text.trim().parse::<u32>().map_err(|_| {
            StoreError::damaged(&file, Damage::Text { found: text, expected: "a count of starts" })
        })?,
    };
    let start = before.saturating_add(1);
    files::replace(&file, format!("{start}\n").as_bytes())?;
    Ok(start)
}

/// Removes the lines past the checkpoint, or all without one.
fn cut(path: &Path, checkpoint: Option<&Checkpoint>) -> Result<(), StoreError> {
    let past = |line: &Value| match (lines::step(line), checkpoint) {
        (Some(step), Some(checkpoint)) => {
            let again = checkpoint.progress.evaluation_due && line.get("validation").is_some();
            step > checkpoint.step || (step == checkpoint.step && again)
        }
        _ => true,
    };
    lines::cut(&path.join(names::METRICS), |line| !past(line))
}
