//! A net below readers that others wrote.
//!
//! The readers of Parquet and Arrow mostly return errors, but some damage still makes them panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{DataError, Wrong};

/// What `read` gives; a panic in it is an error. What it worked on must not be used again.
pub(super) fn guarded<T>(
    file: &str,
    format: &'static str,
    read: impl FnOnce() -> Result<T, String>,
) -> Result<T, DataError> {
    let done = catch_unwind(AssertUnwindSafe(read));
    done.unwrap_or_else(|_| Err("its reader has given up".into()))
        .map_err(|why| DataError::whole(file, Wrong::Damaged { format, why }))
}
