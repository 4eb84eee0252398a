//! A coordinator, and workers behind gateways.

use std::net::SocketAddr;

use lockstep_tests::cluster::{Process, RunFile, Site};
use nix::sys::signal::Signal;

use super::link::Seen;
use super::network::{Fault, Moment, Network};

/// A run whose processes talk across a [`Network`].
pub(crate) struct Cluster {
    pub(crate) coordinator: Process,
    pub(crate) workers: Vec<Process>,
    pub(crate) network: Network,
    pub(crate) site: Site,
    address: SocketAddr,
}

impl Cluster {
    /// With a coordinator, and nobody else yet.
    pub(crate) fn new(seed: u64, run: &RunFile, workers: usize, coordinator: &[&str]) -> Self {
        let site = Site::new(&run.text());
        let (coordinator, address) = site.coordinator(None, coordinator);
        let network = Network::new(seed, address, workers);
        Self { coordinator, workers: Vec::new(), network, site, address }
    }

    /// Starts the next worker.
    pub(crate) fn join(&mut self, arguments: &[&str]) {
        let worker = self.workers.len();
        let process = self.site.worker(&name(worker), self.network.address(worker), arguments);
        self.workers.push(process);
    }

    /// Starts so many more, and waits for them.
    pub(crate) fn joined(&mut self, workers: usize) {
        (0..workers).for_each(|_| self.join(&[]));
        self.site.until_logged(" joined with ", self.workers.len());
    }

    /// Waits until a fault has fallen that was asked for, while the run goes on.
    pub(crate) fn strike(&self, worker: usize, fault: Fault, moment: Moment) {
        let before = self.seen(worker).faults;
        self.network.strike(worker, fault, moment);
        self.until("a fault falls", |_| self.seen(worker).faults > before);
    }

    /// Waits for a step, or for the end.
    pub(crate) fn until_step_or_end(&mut self, step: u64) {
        let Self { site, coordinator, .. } = self;
        site.until("the run goes on", || {
            (site.step() >= step || coordinator.ended().is_some()).then_some(())
        });
    }

    /// Waits while the run goes on: not after its end, and not while it says again and again that it waits.
    fn until(&self, what: &str, done: impl Fn(&str) -> bool) {
        self.site.until(what, || {
            let log = self.site.log();
            if done(&log) {
                return Some(());
            }
            let ended = self.site.run_dir().join("results.json").exists();
            assert!(
                !ended && stood(&log) < 180,
                "in vain until {what}; ended: {ended}\n{}",
                self.site.logs()
            );
            None
        });
    }

    fn until_logged(&self, text: &str, times: usize) {
        self.until(&format!("the log says {times} times {text:?}"), |log| log.matches(text).count() >= times);
    }

    /// Waits until the coordinator has not heard of a worker for as long as three of its heartbeats.
    pub(crate) fn until_missed(&self, worker: usize, times: usize) {
        self.until_logged(&silent(worker), times);
    }

    /// How often that was so.
    pub(crate) fn missed(&self, worker: usize) -> usize {
        self.site.log().matches(&silent(worker)).count()
    }

    /// Waits until a worker is in the run no more, whatever told.
    pub(crate) fn until_gone(&self, worker: usize) {
        self.until_logged(&format!("worker {} is gone", name(worker)), 1);
    }

    /// Waits until a worker is in the run for so many times.
    pub(crate) fn until_joined(&self, worker: usize, times: usize) {
        self.until_logged(&format!("worker {} on", name(worker)), times);
    }

    /// Waits until so many connections are dead, and neither process believes in one of them.
    pub(crate) fn until_closed(&self, worker: usize, least: usize) {
        self.until("dead connections are closed at both ends", |_| {
            let seen = self.seen(worker);
            seen.dead() >= least && seen.believed() == 0
        });
    }

    pub(crate) fn seen(&self, worker: usize) -> Seen {
        self.network.seen(worker)
    }

    /// SIGKILL, and a resume on the same port.
    pub(crate) fn restart_coordinator(&mut self) {
        self.coordinator.kill();
        (self.coordinator, _) = self.site.coordinator(Some(self.address), &["--resume"]);
    }

    /// Asks a worker to end, as it must.
    pub(crate) fn end_worker(&mut self, worker: usize) {
        let process = &mut self.workers[worker];
        process.signal(Signal::SIGTERM);
        assert_eq!(self.site.end(process).code(), Some(75), "{}", process.errors());
    }

    /// Waits for the end of the run and of these workers.
    pub(crate) fn finish(&mut self, workers: &[usize]) {
        self.site.succeed(&mut self.coordinator);
        workers.iter().for_each(|worker| self.site.succeed(&mut self.workers[*worker]));
    }
}

/// Milliseconds between two signs of life: three of them are long for a busy machine of two cores.
pub(crate) const HEARTBEAT: u32 = 700;

/// A run that no fault outlasts, since it goes on only while so many workers are there.
pub(crate) fn run(workers: u32) -> RunFile {
    RunFile {
        epochs: 40,
        every_steps: 50,
        heartbeat_ms: HEARTBEAT,
        min_workers: workers,
        ..RunFile::default()
    }
}

/// The longest wait of which the run has told, in seconds: of a keepalive 15 are due.
fn stood(log: &str) -> u64 {
    let told = log
        .lines()
        .filter_map(|line| line.split_once("still waiting")?.1.split_once(", for ")?.1.split_once(" s;"));
    told.filter_map(|(seconds, _)| seconds.parse().ok()).max().unwrap_or(0)
}

fn name(worker: usize) -> String {
    format!("w{worker}")
}

fn silent(worker: usize) -> String {
    format!("worker {} is gone (silent for {} ms)", name(worker), 3 * HEARTBEAT)
}
