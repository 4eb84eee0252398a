//! Foreign bytes for everything that reads them: valid inputs, mutated.
//!
//! A case is one number: it chooses the reader, the input and what is done to it. A reader may refuse
//! or accept; it must not panic, nor accept what it would not read again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a harness fails by panicking")]

mod columns;
mod data;
mod entries;
mod messages;
mod mutate;
mod run_file;
mod stored;

use std::panic::{AssertUnwindSafe, catch_unwind};

use mutate::Mutate;
use stored::Stored;
use tempfile::TempDir;

type Reader = fn(&mut Mutate, &Inputs);

/// The readers, and what they are called.
const READERS: [(&str, Reader); 10] = [
    ("run file", |mutate, _| run_file::case(mutate)),
    ("table", data::table),
    ("file of columns", data::columns),
    ("idx", data::idx),
    ("described files", entries::case),
    ("rows on the wire", |mutate, _| data::part(mutate)),
    ("messages", |mutate, _| messages::decode(mutate)),
    ("messages to a cluster", |mutate, _| messages::cluster(mutate)),
    ("messages to a session", |mutate, _| messages::session(mutate)),
    ("stored model and checkpoint", stored::case),
];

/// What takes time to make: one valid input of each stored kind, and a folder.
struct Inputs {
    folder: TempDir,
    stored: Stored,
    /// Files of binary formats, by name.
    columns: Vec<(&'static str, Vec<u8>)>,
}

/// Tries cases one after the other.
#[allow(missing_debug_implementations, reason = "nobody prints it")]
pub struct Fuzz {
    inputs: Inputs,
}

impl Fuzz {
    /// Makes the valid inputs.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stored = Stored::new(folder.path());
        Self { inputs: Inputs { folder, stored, columns: columns::valid() } }
    }

    /// One case.
    ///
    /// # Errors
    /// The reader's name, when it panicked. Its message has gone to stderr.
    pub fn case(&self, seed: u64) -> Result<(), &'static str> {
        let mut mutate = Mutate::new(seed);
        let (name, case) = READERS[mutate.below(READERS.len())];
        catch_unwind(AssertUnwindSafe(|| case(&mut mutate, &self.inputs))).map_err(|_| name)
    }
}

impl Default for Fuzz {
    fn default() -> Self {
        Self::new()
    }
}
