//! Where log lines go: plain lines with a time, to stderr or to a file.

use std::fs::File;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

fn filter() -> EnvFilter {
    EnvFilter::try_from_env("LOCKSTEP_LOG").unwrap_or_else(|_| EnvFilter::new("info"))
}

/// For commands whose log is what they show.
pub fn to_stderr() {
    // A second subscriber in one process would be refused, and the first stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter())
        .with_target(false)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .try_init();
}

/// For commands that show progress instead.
pub fn to_file(file: File) {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter())
        .with_target(false)
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .try_init();
}
