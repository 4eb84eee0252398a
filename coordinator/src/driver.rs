//! The one task that owns the cluster: it feeds it, performs its outputs and reads the clock.
//!
//! It runs on a thread of its own, because sums and updates are computed in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lockstep_proto::Session;
use lockstep_proto::message::{Down, FromWorker, Outcome, ToWorker, Up};
use tokio::sync::mpsc;
use tracing::Span;

use crate::calls::{Asked, Call, NoSuchWorker};
use crate::clock::Clock;
use crate::cluster::{Cluster, Input, Output};
use crate::door;
use crate::machine::{Fingerprint, Save};
use crate::notice::Notice;
use crate::outbox;
use crate::phases::Phases;
use crate::progress::Record;
use crate::reducer::Snapshot;
use crate::refusals::Refusals;
use crate::view::{Publisher, Tally};

/// What happens outside of the cluster's own words.
pub trait Effects: Send {
    /// Writes a checkpoint; returns what may run on another thread.
    fn save(&mut self, save: Save, snapshot: Snapshot) -> Box<dyn FnOnce() -> Result<(), String> + Send>;
    /// Stores what the first worker computes.
    fn remember(&mut self, fingerprint: Fingerprint);
    /// A line of metrics.
    fn record(&mut self, record: Record);
    /// For the log.
    fn notice(&mut self, notice: Notice);
    /// The loop has turned, at least once each half heartbeat unless something holds it up: for a watchdog.
    fn turned(&mut self) {}
}

/// Payload bytes of gradients that came and of weights that went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Gradients.
    pub up: u64,
    /// Weights.
    pub down: u64,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// For machines.
    pub outcome: Outcome,
    /// For people.
    pub text: String,
    /// As it ended.
    pub cluster: Cluster,
    /// What travelled.
    pub bytes: Bytes,
}

/// How long an ended run waits for workers that it has lost a moment ago.
const LINGER: Duration = Duration::from_secs(2);

/// The loop turns so often, whatever the heartbeat is: whoever looks on takes a driver for hung that
/// does not.
const TURN: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Outboxes {
    control: BTreeMap<Session, mpsc::UnboundedSender<ToWorker>>,
    tensors: BTreeMap<Session, outbox::Sender>,
}

pub(crate) struct Driver<E> {
    cluster: Cluster,
    effects: E,
    calls: mpsc::Receiver<Call>,
    /// For answers of the checkpoint's thread.
    own: mpsc::Sender<Call>,
    outboxes: Outboxes,
    clock: Clock,
    heartbeat: Duration,
    bytes: Bytes,
    tally: Tally,
    showing: Showing,
    phases: Phases,
}

/// How others may look on.
#[derive(Debug, Default)]
pub(crate) struct Showing {
    pub(crate) publisher: Option<Publisher>,
    /// Messages.
    pub(crate) refusals: Refusals,
    /// Connections.
    pub(crate) kept_out: door::Refusals,
}

impl Showing {
    /// Connections and messages that never reached the cluster, by reason.
    fn refused(&self) -> BTreeMap<&'static str, u64> {
        let mut all = self.refusals.all();
        for (refusal, count) in self.kept_out.counts() {
            *all.entry(refusal.name()).or_insert(0) += count;
        }
        all
    }
}

impl<E: Effects> Driver<E> {
    pub(crate) fn new(
        cluster: Cluster,
        effects: E,
        calls: mpsc::Receiver<Call>,
        own: mpsc::Sender<Call>,
        heartbeat: Duration,
        showing: Showing,
        phases: Phases,
    ) -> Self {
        let clock = Clock::new(heartbeat);
        let (outboxes, bytes, tally) = (Outboxes::default(), Bytes::default(), Tally::default());
        Self { cluster, effects, calls, own, outboxes, clock, heartbeat, bytes, tally, showing, phases }
    }

    /// Until the run ends.
    pub(crate) async fn run(mut self) -> Ended {
        let now = self.clock.now();
        self.cluster.handle(now, Input::Start);
        loop {
            self.effects.turned();
            if let Some((outcome, text)) = self.perform() {
                self.tally.ended(outcome, &text);
                self.show(true);
                self.see_off().await;
                let Self { cluster, bytes, .. } = self;
                return Ended { outcome, text, cluster, bytes };
            }
            self.show(false);
            let now = self.clock.now();
            let due = self.cluster.poll_timeout().map_or(self.heartbeat, |due| due.saturating_sub(now));
            // The loop turns at least once a heartbeat, else the clock would lose time.
            match tokio::time::timeout(due.min(self.heartbeat / 2).min(TURN), self.calls.recv()).await {
                Ok(Some(call)) => self.take(call),
                Ok(None) => self.take(Call::Stop),
                Err(_) => {
                    // What waits is read before deadlines fire.
                    while let Ok(call) = self.calls.try_recv() {
                        self.take(call);
                    }
                    let now = self.clock.now();
                    self.cluster.handle_timeout(now);
                }
            }
        }
    }

    /// A worker that was cut off as the run ended comes again, and is told.
    async fn see_off(&mut self) {
        let until = self.clock.now() + LINGER;
        loop {
            let now = self.clock.now();
            let left = until.saturating_sub(now);
            if left.is_zero() || !self.cluster.machine().awaits(now) {
                return;
            }
            if let Ok(Some(call)) =
                tokio::time::timeout(left.min(self.heartbeat / 2), self.calls.recv()).await
            {
                self.take(call);
                self.perform();
            }
        }
    }

    /// Publishes what can be seen, if it is time for it.
    fn show(&mut self, at_once: bool) {
        let now = self.clock.now();
        let machine = self.cluster.machine();
        self.tally.turn(now, machine.doing());
        self.phases.turn(machine.doing(), machine.progress().step);
        let refused = self.showing.refused();
        let Some(publisher) = &mut self.showing.publisher else { return };
        if at_once || publisher.is_due(now) {
            let view = self.tally.view(publisher.frame(), now, &self.cluster, self.bytes, refused);
            publisher.publish(now, view);
        }
    }

    fn take(&mut self, call: Call) {
        let input = match call {
            Call::Hello { hello, outbox, session: answer } => {
                let session = self.cluster.new_session();
                self.outboxes.control.insert(session, outbox);
                if answer.send(session).is_err() {
                    self.outboxes.control.remove(&session);
                    return;
                }
                Input::Control(session, FromWorker::Hello(hello))
            }
            Call::Tensors { session, outbox, known: answer } => {
                // One stream a session: whoever else names it is not its worker.
                let known =
                    self.cluster.machine().knows(session) && !self.outboxes.tensors.contains_key(&session);
                if answer.send(known).is_err() || !known {
                    return;
                }
                self.outboxes.tensors.insert(session, outbox);
                Input::Tensors(session, Up::Open(session))
            }
            Call::Knows { session, known } => {
                // Whoever asked may be gone.
                let _ = known.send(self.cluster.machine().knows(session));
                return;
            }
            Call::FromWorker(session, message) => Input::Control(session, message),
            Call::Up(session, message) => {
                if let Up::Gradient(gradient) = &message {
                    self.bytes.up += gradient.payload.len() as u64;
                    self.tally.gradient();
                }
                Input::Tensors(session, message)
            }
            Call::Notice(notice) => return self.effects.notice(notice),
            Call::Moved(session) => Input::Moved(session),
            Call::Gone(session, why) => Input::Gone(session, why),
            Call::Saved { step, result, took } => {
                let now = self.clock.now();
                self.tally.saved(now, result.is_ok(), took);
                Input::Saved { step, result }
            }
            Call::Failed(why) => Input::Failed(why),
            Call::Ask { worker, by, answer } => {
                // Without an answer: the run has ended. Whoever asked may be gone; it is done all the same.
                if let Some(asked) = self.ask(worker, by) {
                    let _ = answer.send(asked);
                }
                return;
            }
            Call::Stop => Input::Stop,
        };
        let now = self.clock.now();
        self.cluster.handle(now, input);
    }

    /// An admin's wish is told and followed; `None`: the run has ended, and only sees its workers off.
    fn ask(&mut self, worker: Option<String>, by: String) -> Option<Result<Asked, NoSuchWorker>> {
        let machine = self.cluster.machine();
        if machine.has_ended() {
            return None;
        }
        let input = match &worker {
            None => Input::Stop,
            Some(name) => match machine.session_of(name) {
                Some(session) => Input::Drain(session),
                None => return Some(Err(NoSuchWorker(machine.here()))),
            },
        };
        let step = machine.progress().step;
        self.effects.notice(Notice::Asked { by, worker, step });
        let now = self.clock.now();
        self.cluster.handle(now, input);
        let run = self.showing.publisher.as_ref().map(|publisher| publisher.frame().run).unwrap_or_default();
        let staying = self.cluster.machine().here().len();
        Some(Ok(Asked { run, step, staying: u32::try_from(staying).unwrap_or(u32::MAX) }))
    }

    /// Performs what is to be done; how the run ended, if it did.
    fn perform(&mut self) -> Option<(Outcome, String)> {
        while let Some(output) = self.cluster.poll_output() {
            self.tally.output(&output);
            match output {
                Output::Control(session, message) => {
                    if let Some(outbox) = self.outboxes.control.get(&session) {
                        // A closed stream is noticed by its reader.
                        let _ = outbox.send(message);
                    }
                }
                Output::Tensors(session, message) => {
                    if let Down::Weights(weights) = &message {
                        self.bytes.down += weights.payload.len() as u64;
                    }
                    if let Some(outbox) = self.outboxes.tensors.get(&session) {
                        outbox.send(message);
                    }
                }
                Output::Close(session) => {
                    self.outboxes.control.remove(&session);
                    self.outboxes.tensors.remove(&session);
                }
                Output::Save(save, snapshot) => {
                    let step = save.progress.step;
                    let write = self.effects.save(*save, snapshot);
                    let (own, span) = (self.own.clone(), Span::current());
                    let traced = self.phases.checkpoint(step);
                    tokio::task::spawn_blocking(move || {
                        let _traced = traced;
                        let began = Instant::now();
                        let result = span.in_scope(write);
                        let took = began.elapsed();
                        // Without a driver nobody waits for it.
                        let _ = own.blocking_send(Call::Saved { step, result, took });
                    });
                }
                Output::Remember(fingerprint) => self.effects.remember(fingerprint),
                Output::Record(record) => self.effects.record(record),
                Output::Notice(notice) => self.effects.notice(notice),
                Output::Finish(outcome, text) => return Some((outcome, text)),
            }
        }
        None
    }
}
