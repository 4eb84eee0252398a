//! `digests.jsonl`: the chain of a run's digests.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lockstep_core::chain::{Inputs, Link};
use lockstep_core::digest::Digest;
use serde::{Deserialize, Serialize};

use super::error::{Damage, StoreError};
use super::{files, names};

/// A line of `digests.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestLine {
    /// Steps that are done.
    pub step: u64,
    /// Of the weights and the optimizer.
    pub digest: Digest,
    /// Of this line and all before it.
    pub chain: Link,
}

/// The chain of a run that goes on.
#[derive(Debug)]
pub(super) struct Digests {
    path: PathBuf,
    file: File,
    end: Mutex<End>,
}

/// Where the chain ends; its last lines may not be in the file yet.
#[derive(Debug)]
struct End {
    step: Option<u64>,
    link: Link,
    unwritten: Vec<DigestLine>,
    /// Bytes of the lines that are in the file.
    len: u64,
}

/// The chain at a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) step: u64,
    pub(super) link: Link,
}

impl Digests {
    /// Cuts the file back to what a checkpoint holds of the chain, or to nothing.
    pub(super) fn open(directory: &Path, inputs: &Inputs, held: Option<Held>) -> Result<Self, StoreError> {
        let path = directory.join(names::DIGESTS);
        let text = files::read_if_there(&path)?.unwrap_or_default();
        let first = Link::first(inputs);
        let kept = kept(&text, first, held).map_err(|what| StoreError::damaged(&path, what))?;
        let bytes: String = text.split_inclusive('\n').take(kept.len()).collect();
        if bytes != text {
            files::replace(&path, bytes.as_bytes())?;
        }
        let (step, link) = kept.last().map_or((None, first), |line| (Some(line.step), line.chain));
        let end = End { step, link, unwritten: Vec::new(), len: bytes.len() as u64 };
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(StoreError::io(&path, "be opened"))?;
        Ok(Self { path, file, end: Mutex::new(end) })
    }

    /// Adds the digest of a milestone, unless it is there. On disk once [`Self::write`] has returned.
    pub(super) fn add(&self, step: u64, digest: Digest) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.step.is_none_or(|last| last < step) {
            let chain = end.link.next(step, digest);
            end.unwritten.push(DigestLine { step, digest, chain });
            (end.step, end.link) = (Some(step), chain);
        }
    }

    /// Where the chain ends.
    pub(super) fn link(&self) -> Link {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).link
    }

    /// Puts all lines on disk that are not there yet.
    pub(super) fn write(&self) -> Result<(), StoreError> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.unwritten.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for line in &end.unwritten {
            serde_json::to_writer(&mut bytes, line)
                .map_err(|error| StoreError::damaged(&self.path, error))?;
            bytes.push(b'\n');
        }
        files::append_synced(&self.file, &self.path, end.len, &bytes)?;
        end.len += bytes.len() as u64;
        end.unwritten.clear();
        Ok(())
    }
}

/// What a run directory holds of its chain.
#[derive(Debug)]
pub struct Recorded {
    /// Lines that continue each other from the run's inputs on.
    pub lines: Vec<DigestLine>,
    /// The first line that does not, and what its digest is if it can be read.
    pub broken: Option<(StoreError, Option<DigestLine>)>,
}

/// Reads the chain of a run directory. Changes nothing.
///
/// # Errors
/// The file cannot be read; a run without one has no lines.
pub fn read_digests(directory: &Path, inputs: &Inputs) -> Result<Recorded, StoreError> {
    let path = directory.join(names::DIGESTS);
    let text = files::read_if_there(&path)?.unwrap_or_default();
    let mut lines = Vec::new();
    for line in Lines::new(&text, Link::first(inputs)) {
        match line {
            Ok(line) => lines.push(line),
            Err(what) => {
                let found = text.lines().nth(lines.len()).and_then(|text| serde_json::from_str(text).ok());
                let broken = Some((StoreError::damaged(&path, what), found));
                return Ok(Recorded { lines, broken });
            }
        }
    }
    Ok(Recorded { lines, broken: None })
}

/// The lines up to a place in the chain, each of which continues those before it.
fn kept(text: &str, first: Link, held: Option<Held>) -> Result<Vec<DigestLine>, Damage> {
    let Some(held) = held else { return Ok(Vec::new()) };
    let mut kept = Vec::new();
    let mut link = first;
    let mut lines = Lines::new(text, first);
    while link != held.link {
        match lines.next() {
            Some(line) => {
                let line = line?;
                link = line.chain;
                kept.push(line);
            }
            None => return Err(Damage::ChainEnds { lines: kept.len(), step: held.step }),
        }
    }
    Ok(kept)
}

/// Reads a chain line by line; after the first that does not continue it there is none.
pub(super) struct Lines<'a> {
    text: std::iter::Enumerate<std::str::SplitInclusive<'a, char>>,
    link: Option<Link>,
    step: Option<u64>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str, first: Link) -> Self {
        Self { text: text.split_inclusive('\n').enumerate(), link: Some(first), step: None }
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<DigestLine, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        let link = self.link?;
        let (index, text) = self.text.next()?;
        self.link = None;
        let wrong = Damage::Chain { line: index + 1 };
        let Ok(line) = serde_json::from_str::<DigestLine>(text) else { return Some(Err(wrong)) };
        let follows = self.step.is_none_or(|last| last < line.step);
        if !follows || !text.ends_with('\n') || link.next(line.step, line.digest) != line.chain {
            return Some(Err(wrong));
        }
        (self.link, self.step) = (Some(line.chain), Some(line.step));
        Some(Ok(line))
    }
}
