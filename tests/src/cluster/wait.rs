//! Waiting: for something to happen, as long as anything happens.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A wait fails when no file has changed for so long: far more than any machine needs for one step.
const PATIENCE: Duration = Duration::from_secs(120);

/// A moment; short beside a run, long beside a look at its files.
const MOMENT: Duration = Duration::from_millis(2);

/// Looks until `done` says so. Fails, with every log in the folder, when the folder stands still.
pub fn until<T>(what: &str, folder: &Path, mut done: impl FnMut() -> Option<T>) -> T {
    let (mut seen, mut since) = (0, Instant::now());
    loop {
        for _ in 0..50 {
            if let Some(done) = done() {
                return done;
            }
            sleep(MOMENT);
        }
        let now = bytes(folder);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "waited in vain until {what}\n{}", logs(folder));
    }
}

/// Bytes in all files: they change while a run goes on.
fn bytes(folder: &Path) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        sum += if path.is_dir() { bytes(&path) } else { entry.metadata().map_or(0, |data| data.len()) };
    }
    sum
}

/// The ends of all logs below a folder.
pub fn logs(folder: &Path) -> String {
    const LINES: usize = 40;
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            text += &logs(&path);
        } else if path.extension().is_some_and(|kind| kind == "err" || kind == "log" || kind == "out") {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n");
            text += &format!("--- {}\n{last}\n", path.display());
        }
    }
    text
}
