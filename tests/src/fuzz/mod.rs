//! Foreign bytes for everything that reads them: valid inputs, mutated.
//!
//! A case is a target and a number, which chooses the input and what is done to it. A reader may refuse or
//! accept; it must not panic, nor accept what it would not read again. Inputs are the files of
//! `tests/corpus/`; messages are made of numbers alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a harness fails by panicking")]

mod catalog;
mod corpus;
mod data;
mod entries;
mod messages;
mod mutate;
mod run_file;
mod seeds;
mod stored;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use corpus::Files;
use lockstep_core::run::spec::{Reading, Source};
use mutate::Mutate;
use stored::Stored;
use tempfile::TempDir;

type Case = fn(&mut Mutate, &Inputs);

/// What is called with foreign bytes, and its name.
const TARGETS: [(&str, Case); 17] = [
    ("run-file", run_file::case),
    ("csv", |mutate, inputs| data::file("csv", mutate, inputs)),
    ("tsv", |mutate, inputs| data::file("tsv", mutate, inputs)),
    ("jsonl", |mutate, inputs| data::file("jsonl", mutate, inputs)),
    ("parquet", |mutate, inputs| data::file("parquet", mutate, inputs)),
    ("arrow", |mutate, inputs| data::file("arrow", mutate, inputs)),
    ("npy", |mutate, inputs| data::file("npy", mutate, inputs)),
    ("npz", |mutate, inputs| data::file("npz", mutate, inputs)),
    ("idx", data::idx),
    ("images", |mutate, inputs| data::file("images", mutate, inputs)),
    ("described-files", entries::case),
    ("catalog", catalog::case),
    ("rows", |mutate, _| data::part(mutate)),
    ("messages", |mutate, _| messages::decode(mutate)),
    ("cluster", |mutate, _| messages::cluster(mutate)),
    ("session", |mutate, _| messages::session(mutate)),
    ("stored", stored::case),
];

/// What takes time to make: the corpus, a stored checkpoint, and a folder.
struct Inputs {
    folder: TempDir,
    stored: Stored,
    corpus: BTreeMap<&'static str, Files>,
}

impl Inputs {
    /// A target's files.
    fn corpus(&self, target: &str) -> &Files {
        &self.corpus[target]
    }

    /// A target's own folder.
    fn folder(&self, target: &str) -> PathBuf {
        let folder = self.folder.path().join(target);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }
}

/// Tries cases one after the other.
#[allow(missing_debug_implementations, reason = "nobody prints it")]
pub struct Fuzz {
    inputs: Inputs,
}

impl Fuzz {
    /// Reads the corpus.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stored = Stored::new(folder.path());
        let mut corpus: BTreeMap<_, _> =
            TARGETS.iter().map(|(name, _)| (*name, corpus::read(&corpus::folder().join(name)))).collect();
        corpus.insert("run-file", run_file::corpus());
        Self { inputs: Inputs { folder, stored, corpus } }
    }

    /// The names of all targets.
    pub fn targets() -> [&'static str; TARGETS.len()] {
        TARGETS.map(|(name, _)| name)
    }

    /// One case, of this target or of one that the number chooses.
    ///
    /// # Errors
    /// The target's name, when it panicked. Its message has gone to stderr.
    pub fn case(&self, target: Option<&str>, seed: u64) -> Result<(), &'static str> {
        let mut mutate = Mutate::new(seed);
        // Drawn in any case, so that a number is the same case with its target's name and without.
        let drawn = mutate.below(TARGETS.len());
        let named = TARGETS.iter().find(|(name, _)| Some(*name) == target);
        let (name, case) = named.unwrap_or(&TARGETS[drawn]);
        catch_unwind(AssertUnwindSafe(|| case(&mut mutate, &self.inputs))).map_err(|_| *name)
    }

    /// Whether every file of the corpus is read, but for those named `bad…`, which once were findings and are
    /// refused, in good time.
    pub fn check_corpus(&self) {
        for (target, files) in &self.inputs.corpus {
            for (name, bytes) in files {
                let folder = corpus::folder().join(target);
                match *target {
                    _ if name.starts_with("bad") => assert!(!data::is_loaded(name, &folder), "{name}"),
                    "catalog" if !name.ends_with(".json") => continue,
                    "catalog" => assert!(catalog::is_usable(name, bytes), "{name}"),
                    "run-file" => assert!(run_file::is_usable(bytes), "{name}"),
                    "idx" if name.starts_with("labels") => continue,
                    _ => {
                        let data =
                            lockstep_data::open(&Source::File(name.clone()), &Reading::default(), &folder);
                        entries::read(&*data.unwrap_or_else(|error| panic!("{error}")));
                    }
                }
            }
        }
    }

    /// Writes the valid files of the corpus anew.
    pub fn write_corpus() {
        seeds::write(&corpus::folder());
    }
}

impl Default for Fuzz {
    fn default() -> Self {
        Self::new()
    }
}
