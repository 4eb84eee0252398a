//! The coordinator's process and its disk.

use std::collections::VecDeque;
use std::time::Duration;

use lockstep_coordinator::cluster::Cluster;
use lockstep_coordinator::machine::{Config, Fingerprint, Machine, Save, Watched};
use lockstep_coordinator::progress::Progress;
use lockstep_coordinator::reducer::{Reducer, Snapshot, State};
use lockstep_core::metrics::Kind;
use lockstep_core::optimizer::Optimizer;

use super::case::Case;
use super::world::Event;

/// What outlives a crash.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) starts: u32,
    pub(super) fingerprint: Option<Fingerprint>,
    /// Every checkpoint that was written, in that order.
    pub(super) saved: Vec<(Save, Snapshot)>,
}

#[derive(Debug, Default)]
pub(super) struct Hub {
    pub(super) disk: Disk,
    /// `None` between a crash and the restart.
    pub(super) cluster: Option<Cluster>,
    /// Stopped until then; what happens meanwhile waits here.
    pub(super) paused: Option<Duration>,
    pub(super) deferred: VecDeque<Event>,
    /// The next call for deadlines that is on its way.
    pub(super) timeout: Option<Duration>,
    /// The next write fails.
    pub(super) disk_full: bool,
    pub(super) stopping: bool,
}

impl Hub {
    pub(super) fn life(&self) -> u32 {
        self.disk.starts
    }

    /// From the newest checkpoint, or from W(0).
    pub(super) fn start(&mut self, case: &Case) -> &mut Cluster {
        self.disk.starts += 1;
        self.timeout = None;
        self.stopping = false;
        let layout = case.model.layout();
        let newest = self.disk.saved.iter().max_by_key(|(_, snapshot)| snapshot.step);
        let (progress, state) = match newest {
            None => {
                let weights = case.model.initial_parameters(case.run.seed);
                let optimizer = Optimizer::new(case.run.train.optimizer, layout.trained());
                let state = State::new(&case.run, layout, 0, case.total_steps, weights, optimizer);
                (Progress::default(), state)
            }
            Some((save, snapshot)) => {
                let step = snapshot.step;
                let mut optimizer = Optimizer::new(case.run.train.optimizer, layout.trained());
                for ((_, moments), (_, saved)) in optimizer.state_mut().zip(&snapshot.optimizer) {
                    moments.copy_from_slice(saved);
                }
                let weights = snapshot.weights.clone();
                let state = State::new(&case.run, layout, step, case.total_steps, weights, optimizer)
                    .after(save.progress.recent_losses.clone());
                (Progress { saved_step: Some(step), ..save.progress.clone() }, state)
            }
        };
        let reducer = Reducer::new(&case.run, case.chunks.clone(), case.window, state);
        let config = Config {
            plan: case.plan,
            total_steps: case.total_steps,
            evaluate_every: case.evaluate_every,
            pieces: case.pieces.len() as u32,
            save_every: case.run.checkpoint.every_steps,
            save_after: None,
            watched: Watched { kind: Kind::Classes, best: None, early_stopping: None },
            on_nonfinite: case.run.train.on_nonfinite,
            loss_spike: case.run.train.loss_spike,
            heartbeat: Duration::from_millis(case.run.cluster.heartbeat_ms),
            min_workers: case.run.cluster.min_workers,
            numerics: case.run.cluster.numerics,
            kernel: case.run.cluster.kernel.clone(),
            run: String::new(),
            train: String::new(),
            validation: None,
            window: case.window,
            blocks: false,
            seed: case.run.seed,
            audit: case.run.cluster.audit,
        };
        let machine = Machine::new(config, self.disk.starts, progress, self.disk.fingerprint.clone());
        self.cluster.insert(Cluster::new(machine, reducer, self.disk.starts))
    }
}
