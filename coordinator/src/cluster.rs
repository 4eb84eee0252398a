//! The whole of the coordinator without its I/O: machine and reducer together.
//!
//! ```text
//!            Input                                            Output
//!  control ────────▶ machine ── Begin, Want, Attach ──▶ reducer ────────▶ tensors, control,
//!  tensors ─────────────────────────────────────────▶     │               checkpoints, records
//!                       ▲───── NodeDone, Committed ────────┘
//! ```
//!
//! One task owns it, feeds it and performs its outputs. A simulation replaces that task and nothing
//! else.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lockstep_proto::Session;
use lockstep_proto::message::{Down, FromWorker, Outcome, ToWorker, Up};

use crate::ledger::Refusal;
use crate::machine::{Action, Event, Fingerprint, Machine, Save};
use crate::notice::Notice;
use crate::progress::Record;
use crate::reducer::{self, Reducer, Snapshot};

/// What comes in.
#[derive(Clone, Debug)]
pub enum Input {
    /// The run goes on from where it is; before every other input.
    Start,
    /// On a session's control stream.
    Control(Session, FromWorker),
    /// On a session's tensor stream.
    Tensors(Session, Up),
    /// The session takes rows.
    Moved(Session),
    /// A stream of the session broke.
    Gone(Session, String),
    /// A checkpoint is on disk, or failed to be.
    Saved {
        /// Its step.
        step: u64,
        /// What went wrong.
        result: Result<(), String>,
    },
    /// Rows that the run needs cannot be had.
    Failed(String),
    /// The session's worker is to go.
    Drain(Session),
    /// A signal, or an admin.
    Stop,
}

/// What goes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// On a session's control stream.
    Control(Session, ToWorker),
    /// On a session's tensor stream.
    Tensors(Session, Down),
    /// Close the session's streams once what was sent is out.
    Close(Session),
    /// Write a checkpoint in the background and answer with [`Input::Saved`].
    Save(Box<Save>, Snapshot),
    /// Store what the first worker computes.
    Remember(Fingerprint),
    /// A line of metrics.
    Record(Record),
    /// For the log.
    Notice(Notice),
    /// The run has ended.
    Finish(Outcome, String),
}

/// Machine and reducer together.
#[derive(Debug)]
pub struct Cluster {
    machine: Machine,
    reducer: Reducer,
    session: Session,
    refused: BTreeMap<Refusal, u64>,
    outputs: VecDeque<Output>,
}

impl Cluster {
    /// In the `start`th start of this run's coordinator, which numbers sessions.
    pub fn new(machine: Machine, reducer: Reducer, start: u32) -> Self {
        Self {
            machine,
            reducer,
            session: Session::new(start, 0),
            refused: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// A session number for a control stream that has opened.
    pub fn new_session(&mut self) -> Session {
        self.session = self.session.next();
        self.session
    }

    /// The machine, to look at.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The reducer, to look at.
    pub fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    /// Gradient chunks that were refused, by reason.
    pub fn refused(&self) -> &BTreeMap<Refusal, u64> {
        &self.refused
    }

    /// What is to be done next, until there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.machine.poll_timeout()
    }

    /// Deadlines that have passed. Inputs that wait must be handled first.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.machine.handle_timeout(now);
        self.settle(now);
    }

    /// Takes an input.
    pub fn handle(&mut self, now: Duration, input: Input) {
        match input {
            Input::Start => self.machine.handle(now, Event::Start),
            Input::Control(session, message) => {
                let event = match message {
                    FromWorker::Hello(hello) => Event::Hello(session, hello),
                    FromWorker::Ready(ready) => Event::Ready(session, ready),
                    FromWorker::Heartbeat => Event::Heard(session),
                    FromWorker::Evaluated(evaluated) => Event::Evaluated(session, evaluated),
                    FromWorker::Computed(computed) => Event::Computed(session, computed),
                    FromWorker::Leave => Event::Leave(session),
                    FromWorker::Explained(explained) => Event::Explained(session, explained),
                };
                self.machine.handle(now, event);
            }
            Input::Tensors(session, Up::Open(_)) => self.machine.handle(now, Event::Tensors(session)),
            Input::Tensors(session, Up::Release(step)) => {
                self.reducer.release(session, step);
                self.machine.handle(now, Event::Released(session, step));
            }
            Input::Tensors(session, Up::Gradient(gradient)) => {
                self.machine.handle(now, Event::Moved(session));
                if let Err(refusal) = self.reducer.gradient(session, &gradient) {
                    *self.refused.entry(refusal).or_insert(0) += 1;
                }
            }
            Input::Moved(session) => self.machine.handle(now, Event::Moved(session)),
            Input::Gone(session, why) => self.machine.handle(now, Event::Gone(session, why)),
            Input::Saved { step, result } => self.machine.handle(now, Event::Saved { step, result }),
            Input::Failed(why) => self.machine.handle(now, Event::Failed(why)),
            Input::Drain(session) => self.machine.handle(now, Event::Drain(session)),
            Input::Stop => {
                let untouched = self.reducer.ledger().untouched();
                self.machine.handle(now, Event::Stop { untouched });
            }
        }
        self.settle(now);
    }

    /// Carries the two's words to each other until neither has one left.
    fn settle(&mut self, now: Duration) {
        loop {
            if let Some(action) = self.machine.poll_action() {
                self.perform(action);
            } else if let Some(output) = self.reducer.poll_output() {
                match output {
                    reducer::Output::Send(session, down) => {
                        self.outputs.push_back(Output::Tensors(session, down));
                    }
                    reducer::Output::NodeDone(node) => self.machine.handle(now, Event::NodeDone(node)),
                    reducer::Output::Committed(step) => self.machine.handle(now, Event::Committed(step)),
                    reducer::Output::Abandoned { whole } => {
                        self.machine.handle(now, Event::Abandoned { whole });
                    }
                    reducer::Output::NodeNotFinite(session, node) => {
                        self.machine.handle(now, Event::NodeNotFinite(session, node));
                    }
                    reducer::Output::Differs(node, sessions) => {
                        self.machine.handle(now, Event::Differs(node, sessions));
                    }
                    reducer::Output::Wrong(session, node) => {
                        self.machine.handle(now, Event::Wrong(session, node));
                    }
                    reducer::Output::NotFinite { step, what } => {
                        self.machine.handle(now, Event::NotFinite { step, what });
                    }
                }
            } else {
                return;
            }
        }
    }

    fn perform(&mut self, action: Action) {
        let output = match action {
            Action::Begin(present) => return self.reducer.begin(&present),
            Action::Want(nodes) => return self.reducer.assign(&nodes),
            Action::Audit(nodes) => return self.reducer.audit(&nodes),
            Action::GiveUpAudits(nodes) => return self.reducer.give_up_audits(&nodes),
            Action::Abandon => return self.reducer.abandon(),
            Action::Skip => return self.reducer.skip(),
            Action::Attach(session) => return self.reducer.attach(session),
            Action::Detach(session) => return self.reducer.detach(session),
            Action::SendExact(session) => return self.reducer.send_exact(session),
            Action::Save(save) => Output::Save(save, self.reducer.snapshot()),
            Action::Send(session, message) => Output::Control(session, message),
            Action::Close(session) => Output::Close(session),
            Action::Remember(fingerprint) => Output::Remember(fingerprint),
            Action::Record(record) => Output::Record(record),
            Action::Notice(notice) => Output::Notice(notice),
            Action::Finish(outcome, text) => Output::Finish(outcome, text),
        };
        self.outputs.push_back(output);
    }
}
