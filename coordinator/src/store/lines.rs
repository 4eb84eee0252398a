//! Files of JSON lines: appended to, and cut back by a resume.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lockstep_core::metrics::Report;
use serde::Serialize;
use serde_json::Value;

use super::error::StoreError;
use super::files;

/// A line of `metrics.jsonl` about a step.
#[derive(Debug, Serialize)]
pub(super) struct StepLine {
    pub(super) step: u64,
    pub(super) epoch: u64,
    pub(super) loss: f64,
    pub(super) lr: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) norm: Option<f64>,
    pub(super) samples_per_second: f64,
    pub(super) seconds: f64,
    pub(super) workers: usize,
}

/// A line of `metrics.jsonl` about an evaluation.
#[derive(Debug, Serialize)]
pub(super) struct EvaluationLine {
    pub(super) step: u64,
    pub(super) epoch: u64,
    pub(super) validation: Option<Report>,
}

/// Of a step that was left out.
#[derive(Debug, Serialize)]
pub(super) struct SkippedLine {
    pub(super) step: u64,
    pub(super) epoch: u64,
    pub(super) skipped: bool,
}

/// A file to which whole lines are appended.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    file: File,
}

impl Lines {
    /// Made if it is not there.
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(StoreError::io(&path, "be opened"))?;
        Ok(Self { path, file })
    }

    /// Appends a line, whole or not at all.
    pub(super) fn append(&self, line: &impl Serialize) -> Result<(), StoreError> {
        self.try_append(line).map_err(StoreError::io(&self.path, "be written"))
    }

    fn try_append(&self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let before = self.file.metadata()?.len();
        let written = (&self.file).write_all(&bytes);
        if written.is_err() {
            // A torn line would swallow the next one.
            self.file.set_len(before)?;
        }
        written
    }
}

/// Keeps the whole lines that are JSON and `kept`, in their order. A torn last line goes.
pub(super) fn cut(path: &Path, kept: impl Fn(&Value) -> bool) -> Result<(), StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io(path, "be read")(error)),
    };
    let whole = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let left: Vec<&[u8]> =
        whole.filter(|line| serde_json::from_slice(line).is_ok_and(|line: Value| kept(&line))).collect();
    let left = left.concat();
    if left.len() == bytes.len() { Ok(()) } else { files::replace(path, &left) }
}

/// The step of a line; none if it has none.
pub(super) fn step(line: &Value) -> Option<u64> {
    line.get("step")?.as_u64()
}
