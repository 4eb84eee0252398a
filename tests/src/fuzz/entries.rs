//! Descriptions of files, as they come over a network.

use std::fs;

use lockstep_core::run::spec::{Reading, Source};
use lockstep_data::{Dataset, FileEntry, open, reopen};

use super::Inputs;
use super::mutate::Mutate;

pub(super) const WORDS: [&str; 14] = [
    "0",
    "1",
    "4",
    "9",
    "18446744073709551615,",
    "99999999999,",
    "-1",
    "null,",
    "[",
    "]",
    "\"x\",",
    "\"rows\"",
    "{",
    "\"text\":",
];

/// Everything of a dataset that another described, whose description was mutated.
pub(super) fn case(mutate: &mut Mutate, inputs: &Inputs) {
    let folder = inputs.folder("described-files");
    let target = *mutate.one(&["csv", "jsonl", "parquet", "arrow", "npy", "npz"]);
    let (name, bytes) = mutate.one(inputs.corpus(target));
    fs::write(folder.join(name), bytes).unwrap();
    let (source, reading) = (Source::File(name.clone()), Reading::default());
    let files = open(&source, &reading, &folder).expect("a valid file").files();
    let json = serde_json::to_string(&files).unwrap();
    let json = mutate.text(&json, &WORDS);
    let Ok(files) = serde_json::from_str::<Vec<FileEntry>>(&json) else { return };
    // At times the file itself is another one, of the same length.
    if mutate.one_in(4) {
        let mut other = bytes.clone();
        mutate.bytes(&mut other);
        other.resize(bytes.len(), b'\n');
        fs::write(folder.join(name), other).unwrap();
    }
    let here = folder.join(name).display().to_string();
    match reopen(&files, &source, &reading, &|_| Some(here.clone())) {
        Ok(data) => read(&*data),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A file of few bytes may announce as many blocks as an outline can have, each of which is refused alone.
const BLOCKS: usize = 1000;

/// Whatever it says: no panic, and as many values as it has rows.
pub(super) fn read(data: &dyn Dataset) {
    let columns: Vec<usize> = (0..data.columns().len()).collect();
    for block in data.blocks().iter().take(BLOCKS) {
        match data.read(*block, &columns) {
            Ok(chunk) => {
                let lengths = chunk.values.iter().map(|values| values.cells().count() as u64);
                assert!(lengths.into_iter().all(|length| length == block.rows), "a row has no value");
                assert!(
                    chunk.torn.iter().all(|(row, _)| (block.first..block.first + block.rows).contains(row))
                );
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    data.locate(data.rows());
}
