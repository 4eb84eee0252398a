//! A worker, as it is seen from outside.

use std::sync::Arc;

use lockstep_worker::view::{Observer, State, View};

use super::exposition::{Exposition, Type};
use super::process::{self, Began};
use super::{HUNG, Status, Subject};

/// A worker that is looked at.
#[derive(Debug)]
pub struct Working {
    observer: Arc<Observer>,
    began: Began,
}

impl Working {
    /// This one.
    pub fn new(observer: Arc<Observer>) -> Self {
        Self { observer, began: Began::now() }
    }
}

impl Subject for Working {
    fn live(&self) -> Result<(), String> {
        match self.observer.silent() {
            silent if silent > HUNG => {
                Err(format!("the worker's thread has not turned for {} s", silent.as_secs()))
            }
            _ => Ok(()),
        }
    }

    fn ready(&self) -> Result<(), String> {
        match self.observer.view().state {
            State::Active => Ok(()),
            state => Err(format!("the worker is {}", state.name())),
        }
    }

    fn metrics(&self) -> String {
        let mut text = Exposition::default();
        expose(&self.observer.view(), &mut text);
        process::expose(self.began, &mut text);
        text.finish()
    }

    fn status(&self) -> Status {
        Status::Worker(Box::new(self.observer.view()))
    }
}

fn expose(view: &View, text: &mut Exposition) {
    let number = |number: u64| number as f64;
    let (gauge, counter) = (Type::Gauge, Type::Counter);
    let protocol = view.protocol.to_string();
    let build = [
        ("role", "worker"),
        ("version", view.version.as_str()),
        ("protocol", protocol.as_str()),
        ("numerics", view.numerics.as_str()),
    ];
    text.info("lockstep_build_info", "What runs.", &build);
    text.info("lockstep_worker_info", "Who works.", &[("worker", &view.name), ("run", &view.run)]);
    let states = State::ALL.map(|state| (state.name(), f64::from(u8::from(state == view.state))));
    text.labelled(gauge, "lockstep_worker_state", "1 for the worker's state, 0 for others.", "state", states);
    text.single(gauge, "lockstep_worker_threads", "Compute threads.", number(view.threads));
    text.single(gauge, "lockstep_worker_step", "The newest step that was begun.", number(view.step));
    text.single(gauge, "lockstep_worker_shards", "Shards to compute in it.", number(view.shards));
    let help = "Sessions; more than one means that connections broke.";
    text.single(counter, "lockstep_worker_sessions_total", help, number(view.sessions));
    let phases = [
        ("rows", view.seconds.rows),
        ("weights", view.seconds.weights),
        ("computing", view.seconds.computing),
        ("evaluating", view.seconds.evaluating),
    ];
    let help = "Where the compute thread's time went: waiting for rows, waiting for weights, or computing.";
    text.labelled(counter, "lockstep_worker_phase_seconds_total", help, "phase", phases);
    let bytes = [("up", number(view.bytes.up)), ("down", number(view.bytes.down))];
    let help = "Payload of gradients to the coordinator (up) and of weights from it (down).";
    text.labelled(counter, "lockstep_worker_payload_bytes_total", help, "direction", bytes);
    let help = "Rows that were gathered for steps and evaluations.";
    text.single(counter, "lockstep_worker_rows_read_total", help, number(view.rows_read));
}
