//! The process ends in the middle of a write, as often as a test likes: after so many operations every
//! further one fails, also those that would tidy up.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

thread_local! {
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Ends the process, as far as this thread can tell, after so many more operations; `None`: never.
/// How many were left before.
pub(super) fn after(operations: Option<u32>) -> Option<u32> {
    LEFT.replace(operations)
}

pub(super) fn before() -> io::Result<()> {
    match LEFT.get() {
        None => Ok(()),
        Some(0) => Err(io::Error::other("the process has ended")),
        Some(left) => {
            LEFT.set(Some(left - 1));
            Ok(())
        }
    }
}

/// As [`before`], at a moment when what follows `synced` bytes of a file is written and not yet synced:
/// half of it reaches the disk.
pub(super) fn torn(path: &Path, synced: u64) -> io::Result<()> {
    before().inspect_err(|_| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let written = file.metadata().unwrap().len();
        file.set_len(synced + (written - synced) / 2).unwrap();
    })
}
