//! What happened last, and how often what happened.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

/// The newest lines.
#[derive(Debug)]
pub(super) struct Trace {
    lines: VecDeque<String>,
    kept: usize,
}

impl Trace {
    pub(super) fn new(kept: usize) -> Self {
        Self { lines: VecDeque::new(), kept }
    }

    pub(super) fn line(&mut self, now: Duration, text: fmt::Arguments<'_>) {
        if self.lines.len() == self.kept {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:>10.3} ms  {text}", now.as_secs_f64() * 1e3));
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// How often each thing happened, over one simulation or many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(super) fn count(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_insert(0) += 1;
    }

    pub(super) fn add(&mut self, what: impl Into<String>, times: u64) {
        *self.0.entry(what.into()).or_insert(0) += times;
    }

    /// Adds another simulation's.
    pub fn merge(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            self.add(what.as_str(), *times);
        }
    }

    /// How often it happened.
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(what, times)| writeln!(f, "{times:>10}  {what}"))
    }
}

/// A simulation that showed something wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// It replays the simulation.
    pub seed: u64,
    /// Virtual time.
    pub at: Duration,
    /// The invariant, and how it was broken.
    pub what: String,
    /// The run at hand.
    pub run: String,
    /// What happened last.
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, at, what, run, trace } = self;
        writeln!(f, "{run}\n{trace}")?;
        writeln!(f, "seed {seed}, after {:.3} virtual ms: {what}", at.as_secs_f64() * 1e3)?;
        write!(f, "again: make soak ARGS=\"--seed {seed}\"")
    }
}

impl std::error::Error for Failure {}
