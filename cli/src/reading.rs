//! What people see while a run's data are gone through.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lockstep_data::Stage;

use crate::print;

/// Between two lines; data that take less time are not spoken of.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Says on stderr how far the passes over the data are.
pub struct Reading(Mutex<Instant>);

impl Reading {
    /// From now on.
    pub fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    /// So many rows are gone through.
    pub fn show(&self, stage: Stage, rows: u64, all: u64) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if line.elapsed() < LINE_EVERY {
            return;
        }
        *line = Instant::now();
        let what = match stage {
            Stage::Fit => "measuring columns",
            Stage::List => "encoding blocks",
        };
        let share = 100 * rows / all.max(1);
        print::note(format!("{what}: {} of {} rows, {share} %", print::count(rows), print::count(all)));
    }
}
