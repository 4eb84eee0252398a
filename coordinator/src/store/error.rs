//! What can go wrong with what is stored.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use lockstep_core::digest::Digest;
use lockstep_core::model::ShapeError;
use lockstep_core::run::Problem;
use lockstep_core::tensors::{ReadError, WriteError};
use nix::errno::Errno;

/// Something wrong with a run directory, a checkpoint or a model file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory is another run's, or this one's earlier start.
    #[error(
        "{} holds a run: --resume goes on with it, --run-dir DIR names another directory",
        .0.display()
    )]
    Taken(PathBuf),
    /// Another coordinator writes to it.
    #[error("{} is in use by another coordinator", .0.display())]
    Busy(PathBuf),
    /// The run file says other things than the stored one.
    #[error("{} holds a run of another run file, which a resume may not change{}", .directory.display(), listed(.differences))]
    Differs {
        /// The run directory.
        directory: PathBuf,
        /// Key, stored value, new value.
        differences: Vec<(String, String, String)>,
    },
    /// The training rows are not those that the run began with.
    #[error(
        "{} holds a run of other training rows ({what}): restore the data, or begin anew with --run-dir",
        .directory.display()
    )]
    OtherData {
        /// The run directory.
        directory: PathBuf,
        /// What differs.
        what: String,
    },
    /// The system refused.
    #[error("{}: cannot {action}: {source}", .path.display())]
    Io {
        /// Of what.
        path: PathBuf,
        /// As in `cannot read`.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// What was to be written contradicts itself.
    #[error("{}: cannot be written: {source}", .path.display())]
    Unwritable {
        /// Where it was to be.
        path: PathBuf,
        /// Why.
        source: WriteError,
    },
    /// A file is not what was written.
    #[error("{}: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: Box<Damage>,
    },
    /// A checkpoint of another version of Lockstep.
    #[error(
        "{}: a checkpoint of format {found}, and this version of lockstep reads format {known}: use the \
         version that wrote it, or move the checkpoint away",
        .path.display()
    )]
    Version {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format that is read here.
        known: u32,
    },
    /// No best checkpoint.
    #[error("{}: {why}", .path.display())]
    NoBest {
        /// The run directory.
        path: PathBuf,
        /// Why there is none.
        why: &'static str,
    },
    /// There is nothing to open.
    #[error(
        "{}: there is no model here; expected a run directory, a checkpoint or a .safetensors file",
        .0.display()
    )]
    NoModel(PathBuf),
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It is not there.
    #[error("the file is missing")]
    Missing,
    /// It was cut off, or something was added.
    #[error("found {found} bytes, expected {expected}")]
    Length {
        /// Bytes there.
        found: u64,
        /// As the manifest says.
        expected: u64,
    },
    /// Its bytes are not those that were written.
    #[error("its bytes have changed since they were written (the manifest's SHA-256 is another)")]
    Hash,
    /// Not JSON, or not the JSON expected.
    #[error("not what was written: {0}")]
    Json(#[from] serde_json::Error),
    /// Not a catalog of data.
    #[error(transparent)]
    Catalog(#[from] lockstep_data::BadCatalog),
    /// Not the text expected.
    #[error("found {found:?}, expected {expected}")]
    Text {
        /// The text there.
        found: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// Not a safetensors file.
    #[error(transparent)]
    NotTensors(#[from] ReadError),
    /// An entry of the metadata is missing.
    #[error("not a model of lockstep: the metadata has no {0:?}")]
    NoMetadata(&'static str),
    /// An entry of the metadata cannot be read.
    #[error("the metadata's {key:?} cannot be read: {why}")]
    Metadata {
        /// The entry.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The stored run file cannot be read.
    #[error("the stored run file: {0}")]
    Run(#[from] Problem),
    /// The stored layers do not fit the stored encoder.
    #[error("the stored run file does not fit the stored encoder: {0}")]
    Shapes(#[from] ShapeError),
    /// Tensors are not the model's.
    #[error("found {found}, expected {expected}")]
    Tensors {
        /// What there is.
        found: String,
        /// As the model has it.
        expected: String,
    },
    /// A model file whose parts are not those that were written together.
    #[error("its content has changed since it was written (its SHA-256 is {found}, expected {expected})")]
    Content {
        /// As read.
        found: Digest,
        /// As stored.
        expected: Digest,
    },
    /// Model and optimizer are not those of the digest.
    #[error("the tensors' digest is {found}, expected {expected}")]
    Digest {
        /// Of the tensors as read.
        found: Digest,
        /// As stored.
        expected: Digest,
    },
    /// A line of the chain of digests was changed, or one before it is missing.
    #[error(
        "line {line} does not continue the chain of the lines before it: it was changed, or lines are missing"
    )]
    Chain {
        /// Counted from 1.
        line: usize,
    },
    /// The chain of digests is shorter than it was.
    #[error("it ends after {lines} lines, before those of the checkpoint of step {step}")]
    ChainEnds {
        /// Whole lines.
        lines: usize,
        /// Of the checkpoint that is to be continued.
        step: u64,
    },
    /// Two places disagree on the step.
    #[error("found step {found}, expected {expected}")]
    Step {
        /// In this file.
        found: u64,
        /// Elsewhere.
        expected: u64,
    },
    /// Of another run.
    #[error("it belongs to another run: {key} is {found}, expected {expected}")]
    Foreign {
        /// A key of the run file that differs.
        key: String,
        /// Its value in the checkpoint.
        found: String,
        /// In the run directory.
        expected: String,
    },
}

impl StoreError {
    /// The exit code: 2 for a directory that is taken, 78 for what another try cannot mend, else 1.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Taken(_) => 2,
            Self::Differs { .. }
            | Self::OtherData { .. }
            | Self::Damaged { .. }
            | Self::Version { .. }
            | Self::NoBest { .. }
            | Self::NoModel(_) => 78,
            Self::Busy(_) | Self::Io { .. } | Self::Unwritable { .. } => 1,
        }
    }

    /// Whether a checkpoint with it is no checkpoint: an older one may be gone on from. What the system
    /// refuses for a while, and what another version can read, is not damaged.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Io { source, .. } => !matches!(
                source.raw_os_error().map(Errno::from_raw),
                Some(
                    Errno::EACCES
                        | Errno::EPERM
                        | Errno::EMFILE
                        | Errno::ENFILE
                        | Errno::ENOMEM
                        | Errno::EINTR
                )
            ),
            Self::Damaged { .. } => true,
            _ => false,
        }
    }

    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }

    pub(super) fn damaged(path: &Path, what: impl Into<Damage>) -> Self {
        Self::Damaged { path: path.to_owned(), what: Box::new(what.into()) }
    }
}

fn listed(differences: &[(String, String, String)]) -> String {
    differences.iter().fold(String::new(), |mut text, (key, old, new)| {
        let _ = write!(text, "\n  {key}: stored {old}, now {new}");
        text
    })
}
