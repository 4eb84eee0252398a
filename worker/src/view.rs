//! What can be seen of a worker from outside.
//!
//! Numbers that change within a step are atomics, words that change a few times a run are behind a
//! lock that no step takes; so looking disturbs nobody.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What a worker is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct View {
    /// Its name.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Where it looks for the coordinator.
    pub coordinator: String,
    /// The run's name; empty before it was welcomed.
    pub run: String,
    /// Lockstep's version.
    pub version: String,
    /// Version of the wire contract.
    pub protocol: u32,
    /// Architecture, BLAS kernel and arithmetic version.
    pub numerics: String,
    /// What is being done.
    pub state: State,
    /// Compute threads.
    pub threads: u64,
    /// Sessions that it has had: more than one means that connections broke.
    pub sessions: u64,
    /// The newest step that was begun.
    pub step: u64,
    /// Shards that were assigned in it.
    pub shards: u64,
    /// Where the compute thread's time went.
    pub seconds: Seconds,
    /// Payload bytes of gradients and weights.
    pub bytes: Bytes,
    /// Rows that were gathered for steps and evaluations.
    pub rows_read: u64,
}

/// Whether a worker takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// There is no coordinator, or it does not want the worker yet.
    #[default]
    Connecting,
    /// Rows are taken, the model is built.
    Joining,
    /// It takes part.
    Active,
    /// It wants to go, and computes what it has.
    Leaving,
}

impl State {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Connecting, Self::Joining, Self::Active, Self::Leaving];

    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Joining => "joining",
            Self::Active => "active",
            Self::Leaving => "leaving",
        }
    }
}

/// Seconds of the compute thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seconds {
    /// For rows that were not gathered ahead.
    pub rows: f64,
    /// For weights of the next step: for the coordinator and the other workers, as a rule.
    pub weights: f64,
    /// Forward and backward.
    pub computing: f64,
    /// Evaluations.
    pub evaluating: f64,
}

/// Payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bytes {
    /// Gradients, to the coordinator.
    pub up: u64,
    /// Weights, from it.
    pub down: u64,
}

/// Where a worker writes down what can be seen of it.
#[derive(Debug)]
pub struct Observer {
    frame: Mutex<View>,
    began: Instant,
    /// Milliseconds from then on until the loop that moves messages last turned.
    turned: AtomicU64,
    pub(crate) step: AtomicU64,
    pub(crate) shards: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) up: AtomicU64,
    pub(crate) down: AtomicU64,
    pub(crate) waited_for_rows: Clocked,
    pub(crate) waited_for_weights: Clocked,
    pub(crate) computed: Clocked,
    pub(crate) evaluated: Clocked,
}

/// A sum of times.
#[derive(Debug, Default)]
pub(crate) struct Clocked(AtomicU64);

impl Clocked {
    pub(crate) fn add(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    fn seconds(&self) -> f64 {
        Duration::from_nanos(self.0.load(Relaxed)).as_secs_f64()
    }
}

impl Observer {
    /// Of a worker of which this much is known.
    pub fn new(frame: View) -> Self {
        Self {
            frame: Mutex::new(frame),
            began: Instant::now(),
            turned: AtomicU64::default(),
            step: AtomicU64::default(),
            shards: AtomicU64::default(),
            rows: AtomicU64::default(),
            up: AtomicU64::default(),
            down: AtomicU64::default(),
            waited_for_rows: Clocked::default(),
            waited_for_weights: Clocked::default(),
            computed: Clocked::default(),
            evaluated: Clocked::default(),
        }
    }

    /// As it is now.
    pub fn view(&self) -> View {
        View {
            step: self.step.load(Relaxed),
            shards: self.shards.load(Relaxed),
            seconds: Seconds {
                rows: self.waited_for_rows.seconds(),
                weights: self.waited_for_weights.seconds(),
                computing: self.computed.seconds(),
                evaluating: self.evaluated.seconds(),
            },
            bytes: Bytes { up: self.up.load(Relaxed), down: self.down.load(Relaxed) },
            rows_read: self.rows.load(Relaxed),
            ..self.frame.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }

    /// How long ago the loop that moves messages last turned.
    pub fn silent(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.turned.load(Relaxed)))
    }

    /// The loop that moves messages turns.
    pub(crate) fn turn(&self) {
        self.turned.store(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.frame.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn becomes(&self, state: State) {
        self.change(|view| view.state = state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_seen() {
        let observer = Observer::new(View { name: "a".into(), ..View::default() });
        observer.computed.add(Duration::from_millis(1500));
        observer.up.fetch_add(7, Relaxed);
        observer.becomes(State::Active);
        let view = observer.view();
        assert_eq!((view.name.as_str(), view.state, view.bytes.up), ("a", State::Active, 7));
        assert!((view.seconds.computing - 1.5).abs() < 1e-9);
    }

    #[test]
    fn names_are_those_of_json() {
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
