//! The coordinator's machine: who is in the run, and what is to be done now.
//!
//! ```text
//!   Hello ─▶ Welcome      worker loads rows,        Ready ─▶ Accepted
//!   (joining)             builds the model          (active: gets shards at the next step)
//!
//!            first active worker            all chunks applied
//!   Idle ──────────────────────▶ Step t ───────────────────────▶ boundary t+1
//!    ▲                             │ a worker is lost:               │ evaluation due ─▶ Evaluation
//!    │ nobody is left              │ its open nodes go to others     │ checkpoint due ─▶ (saving)
//!    └─────────────────────────────┘                                 │ all steps done ─▶ Ended
//!                                                                    └─▶ Step t+1
//! ```
//!
//! Events in, actions out; time is an argument. It knows nothing of tensors: the reducer tells it
//! when a node is here and when a step is committed.

mod assignment;
mod evaluation;
mod members;
mod step;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lockstep_core::epoch::Plan;
use lockstep_core::metrics::Sums;
use lockstep_core::run::spec::Numerics;
use lockstep_core::tree::{Node, Tree};
use lockstep_proto::message::{
    Assign, End, Evaluate, Evaluated, Hello, Outcome, Ready, Reason, Refused, ToWorker, Welcome,
};
use lockstep_proto::{Generation, PROTOCOL, Session};

use crate::notice::Notice;
use crate::progress::{Evaluation, Progress, Record, StepRecord};
use crate::reducer::Committed;
use members::Members;

pub use members::MISSED_HEARTBEATS;

/// What the machine must know of the run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The epoch's arithmetic: training rows, shards, batch.
    pub plan: Plan,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Steps between two evaluations.
    pub evaluate_every: u64,
    /// Pieces of the validation rows; 0: there are none.
    pub pieces: u32,
    /// Steps between two checkpoints.
    pub save_every: u64,
    /// Between two signs of life.
    pub heartbeat: Duration,
    /// Whether workers that compute other bits are refused.
    pub numerics: Numerics,
    /// The kernel that workers run under.
    pub kernel: String,
    /// The resolved run file, for workers.
    pub run: String,
    /// Description of the training rows, for workers.
    pub train: String,
    /// Of the validation rows.
    pub validation: Option<String>,
    /// Chunks of a node that may be sent without a grant.
    pub window: u32,
}

/// What the run's first worker computed; every later one is compared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The first worker's numerics.
    pub numerics: String,
    /// Of its arithmetic.
    pub hash: [u8; 32],
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The run goes on from where it is; before every other event.
    Start,
    /// A worker is at the door, under a new session.
    Hello(Session, Hello),
    /// Its rows and its model are ready.
    Ready(Session, Ready),
    /// Its tensor stream is open.
    Tensors(Session),
    /// A sign of life.
    Heard(Session),
    /// Sums of pieces.
    Evaluated(Session, Evaluated),
    /// A stream of it broke, for this reason.
    Gone(Session, String),
    /// All of a node is here.
    NodeDone(Node),
    /// The step is done.
    Committed(Committed),
    /// The step is closed.
    Abandoned {
        /// Nothing of it was applied: W(step) and its optimizer are whole.
        whole: bool,
    },
    /// The step's numbers are not finite.
    NotFinite {
        /// The step.
        step: u64,
        /// For people.
        what: String,
    },
    /// A checkpoint is on disk, or failed to be.
    Saved {
        /// Its step.
        step: u64,
        /// What went wrong.
        result: Result<(), String>,
    },
    /// A signal: write a checkpoint and end.
    Stop {
        /// Nothing of the open step is applied yet, so it can be abandoned.
        untouched: bool,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send to a worker.
    Send(Session, ToWorker),
    /// Close all of a worker's streams once what was sent is out.
    Close(Session),
    /// Open a step in which these shards have rows.
    Begin(Vec<bool>),
    /// Want these nodes.
    Want(Vec<Node>),
    /// Close the open step and answer with [`Event::Abandoned`].
    Abandon,
    /// Send this worker weights from now on.
    Attach(Session),
    /// Send it no more.
    Detach(Session),
    /// Send it the exact weights, if the wire rounds them.
    SendExact(Session),
    /// Take a snapshot and write a checkpoint.
    Save(Save),
    /// Store what the first worker computes.
    Remember(Fingerprint),
    /// A line of metrics.
    Record(Record),
    /// For the log.
    Notice(Notice),
    /// The run has ended.
    Finish(Outcome, String),
}

/// A checkpoint to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Save {
    /// How far the run is.
    pub progress: Progress,
    /// Whether its digest goes into the chain that everyone can compare.
    pub milestone: bool,
}

/// What is being done.
#[derive(Clone, Debug)]
enum Work {
    /// Nobody is here, or the next step waits for a checkpoint.
    Idle,
    Step(step::Work),
    /// The step at hand is closed, because of a stop; the reducer says what is left of it.
    Abandoned,
    Evaluation(evaluation::Work),
    Ended,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Machine {
    config: Config,
    generation: Generation,
    fingerprint: Option<Fingerprint>,
    members: Members,
    progress: Progress,
    work: Work,
    /// The shards of each worker in the last step, to see whether an assignment is new.
    assigned: BTreeMap<Session, Vec<Node>>,
    /// The step whose checkpoint is being written.
    saving: Option<u64>,
    /// The step whose checkpoint failed last: it is not tried again before there is a need.
    not_saved: Option<u64>,
    stopping: bool,
    /// When people were last told that the run waits.
    waiting_since: Option<(Duration, Duration)>,
    step_began: Duration,
    actions: VecDeque<Action>,
}

impl Machine {
    /// At `progress`, in the `start`th start of this run's coordinator.
    pub fn new(config: Config, start: u32, progress: Progress, fingerprint: Option<Fingerprint>) -> Self {
        Self {
            config,
            generation: Generation::new(start, 0),
            fingerprint,
            members: Members::default(),
            progress,
            work: Work::Idle,
            assigned: BTreeMap::new(),
            saving: None,
            not_saved: None,
            stopping: false,
            waiting_since: None,
            step_began: Duration::ZERO,
            actions: VecDeque::new(),
        }
    }

    /// What is to be done next, until there is nothing.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if matches!(self.work, Work::Ended) {
            return None;
        }
        let late = self.members.first_deadline(self.config.heartbeat);
        let tell = self.waiting_since.map(|(_, told)| told + WAITING_NOTICE);
        late.into_iter().chain(tell).min()
    }

    /// How far the run is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether the session is one of the run's.
    pub fn knows(&self, session: Session) -> bool {
        self.members.get(session).is_some()
    }

    /// Sessions that were silent for too long end; people are told what the run waits for.
    pub fn handle_timeout(&mut self, now: Duration) {
        for session in self.members.late(now, self.config.heartbeat) {
            if matches!(self.work, Work::Ended) {
                return;
            }
            let silent = self.config.heartbeat * MISSED_HEARTBEATS;
            self.lose(now, session, format!("silent for {} ms", silent.as_millis()), Some(Reason::Late));
        }
        if let Some((since, told)) = self.waiting_since
            && now >= told + WAITING_NOTICE
        {
            self.waiting_since = Some((since, now));
            self.notice(Notice::Waiting { step: self.progress.step, seconds: (now - since).as_secs() });
        }
    }

    /// Takes an event. Messages of sessions that have ended change nothing.
    pub fn handle(&mut self, now: Duration, event: Event) {
        if matches!(self.work, Work::Ended) {
            if let Event::Hello(session, _) = event {
                self.refuse(session, Reason::Ending, "the run has ended".into());
            }
            return;
        }
        match event {
            Event::Start => self.boundary(now),
            Event::Hello(session, hello) => self.hello(now, session, hello),
            Event::Ready(session, ready) => self.ready(now, session, ready),
            Event::Tensors(session) => {
                if let Some(member) = self.members.heard(session, now)
                    && !std::mem::replace(&mut member.tensors, true)
                {
                    self.activate(now, session);
                }
            }
            Event::Heard(session) => {
                self.members.heard(session, now);
            }
            Event::Evaluated(session, evaluated) => {
                if self.members.heard(session, now).is_some() {
                    self.evaluated(now, session, evaluated);
                }
            }
            Event::Gone(session, why) => self.lose(now, session, why, None),
            Event::NodeDone(node) => {
                if let Work::Step(work) = &mut self.work {
                    work.done(node);
                }
            }
            Event::Committed(committed) => self.committed(now, committed),
            Event::Abandoned { whole } => self.abandoned(now, whole),
            Event::NotFinite { step, what } => {
                self.finish(Outcome::Failed, format!("step {step}: {what}; nothing of this step was kept"));
            }
            Event::Saved { step, result } => self.saved(now, step, result),
            Event::Stop { untouched } => {
                if !self.stopping {
                    self.stopping = true;
                    self.notice(Notice::Stopping { step: self.progress.step });
                    if untouched && matches!(self.work, Work::Step(_)) {
                        self.actions.push_back(Action::Abandon);
                        self.work = Work::Idle;
                    }
                    self.stop_if_idle(now);
                }
            }
        }
    }

    fn hello(&mut self, now: Duration, session: Session, hello: Hello) {
        if self.knows(session) {
            // Were it taken, the session's work would be nobody's.
            return self.lose(now, session, "said hello twice".into(), Some(Reason::Malformed));
        }
        if hello.protocol != PROTOCOL {
            let text = format!(
                "the worker speaks protocol {}, the coordinator {PROTOCOL}: run the same version of lockstep on both",
                hello.protocol
            );
            self.notice(Notice::Refused { worker: hello.name, text: text.clone() });
            return self.refuse(session, Reason::Protocol, text);
        }
        if self.stopping {
            return self.refuse(session, Reason::Ending, "the coordinator is stopping".into());
        }
        if let Some(old) = self.members.by_name(&hello.name) {
            self.lose(now, old, "a new session came under its name".into(), Some(Reason::Replaced));
        }
        self.members.join(session, now, hello);
        let Config { run, train, validation, kernel, window, .. } = &self.config;
        let welcome = Welcome {
            session,
            run: run.clone(),
            train: train.clone(),
            validation: validation.clone(),
            kernel: kernel.clone(),
            window: *window,
        };
        self.send(session, ToWorker::Welcome(welcome));
    }

    fn ready(&mut self, now: Duration, session: Session, ready: Ready) {
        let Some(member) = self.members.heard(session, now) else { return };
        if member.ready {
            return;
        }
        let hash = ready.fingerprint;
        let numerics = member.hello.numerics.clone();
        match &self.fingerprint {
            Some(first) if first.hash != hash => {
                let text = format!(
                    "this worker's numerics are {numerics}, the run's are {}: they compute different bits for this model; \
                     use the same processor architecture, BLAS kernel and one BLAS thread, or set numerics = \"relaxed\" and give up equal bits",
                    first.numerics
                );
                let worker = member.hello.name.clone();
                if self.config.numerics == Numerics::Strict {
                    self.notice(Notice::Refused { worker, text: text.clone() });
                    self.members.leave(session);
                    return self.refuse(session, Reason::Numerics, text);
                }
                self.notice(Notice::Relaxed { worker, text });
            }
            Some(_) => {}
            None => {
                let first = Fingerprint { numerics, hash };
                self.fingerprint = Some(first.clone());
                self.actions.push_back(Action::Remember(first));
            }
        }
        if let Some(member) = self.members.heard(session, now) {
            member.ready = true;
            member.threads = ready.threads;
            self.activate(now, session);
        }
    }

    /// A worker that is ready and can be sent weights takes part.
    fn activate(&mut self, now: Duration, session: Session) {
        let Some(member) = self.members.get(session).filter(|member| member.is_active()) else { return };
        let notice = Notice::Joined {
            worker: member.hello.name.clone(),
            host: member.hello.host.clone(),
            threads: member.threads,
            step: self.progress.step,
        };
        self.progress.joined += 1;
        self.notice(notice);
        self.waiting_since = None;
        self.send(session, ToWorker::Accepted);
        self.actions.push_back(Action::Attach(session));
        match &self.work {
            Work::Idle => self.boundary(now),
            Work::Step(_) => self.reassign_step(),
            Work::Evaluation(_) => self.reassign_evaluation(),
            Work::Abandoned | Work::Ended => {}
        }
    }

    /// A session ends; its open work goes to others in the same step.
    fn lose(&mut self, now: Duration, session: Session, why: String, tell: Option<Reason>) {
        let Some(member) = self.members.leave(session) else { return };
        self.assigned.remove(&session);
        if let Some(reason) = tell {
            self.refuse(session, reason, why.clone());
        } else {
            self.actions.push_back(Action::Close(session));
        }
        if !member.is_active() {
            return;
        }
        self.progress.lost += 1;
        self.actions.push_back(Action::Detach(session));
        let open = match &mut self.work {
            Work::Step(work) => work.lose(session),
            Work::Evaluation(work) => work.lose(session).into_iter().map(|_| Node::leaf(0)).collect(),
            Work::Idle | Work::Abandoned | Work::Ended => Vec::new(),
        };
        let step = self.progress.step;
        let evaluating = matches!(self.work, Work::Evaluation(_));
        self.notice(Notice::Lost { worker: member.hello.name, why, step, open, evaluating });
        match self.work {
            Work::Step(_) => self.reassign_step(),
            Work::Evaluation(_) => self.reassign_evaluation(),
            Work::Idle | Work::Abandoned | Work::Ended => {}
        }
        self.note_waiting(now);
        self.stop_if_idle(now);
    }

    fn note_waiting(&mut self, now: Duration) {
        if self.members.active().next().is_none() && self.waiting_since.is_none() {
            self.waiting_since = Some((now, now));
            self.notice(Notice::Waiting { step: self.progress.step, seconds: 0 });
        }
    }

    /// Open nodes without a worker go to those who have least.
    fn reassign_step(&mut self) {
        let active: Vec<Session> = self.members.active().collect();
        let Work::Step(work) = &mut self.work else { return };
        let touched = work.place(&active);
        if touched.is_empty() {
            return;
        }
        self.generation = self.generation.next();
        let step = self.progress.step;
        for session in touched {
            let nodes = work.nodes_of(session);
            self.assigned.insert(session, nodes.clone());
            let assign = Assign { generation: self.generation, step, nodes };
            self.actions.push_back(Action::Send(session, ToWorker::Assign(assign)));
        }
    }

    fn reassign_evaluation(&mut self) {
        let active: Vec<Session> = self.members.active().collect();
        let Work::Evaluation(work) = &mut self.work else { return };
        let touched = work.place(&active);
        if touched.is_empty() {
            return;
        }
        self.generation = self.generation.next();
        let step = self.progress.step;
        for session in touched {
            let evaluate = Evaluate { generation: self.generation, step, pieces: work.pieces_of(session) };
            self.actions.push_back(Action::SendExact(session));
            self.actions.push_back(Action::Send(session, ToWorker::Evaluate(evaluate)));
        }
    }

    /// Between two steps: what is due, in this order.
    fn boundary(&mut self, now: Duration) {
        let step = self.progress.step;
        self.work = Work::Idle;
        if self.progress.evaluation_due && !self.stopping {
            self.work = Work::Evaluation(evaluation::Work::new(self.config.pieces));
            self.note_waiting(now);
            return self.reassign_evaluation();
        }
        let last = step >= self.config.total_steps;
        let finished = last && !self.progress.evaluation_due;
        let must = finished || self.stopping;
        let milestone = step > 0 && (step.is_multiple_of(self.config.save_every) || last);
        let known = [self.progress.saved_step, self.saving].contains(&Some(step));
        let due = !known && (self.stopping || milestone && (must || self.not_saved != Some(step)));
        if self.saving.is_some() && (due || must) {
            // Checkpoints are written one at a time; other steps go on meanwhile.
            return;
        }
        if due {
            self.saving = Some(step);
            self.actions.push_back(Action::Save(Save { progress: self.progress.clone(), milestone }));
            if must {
                return;
            }
        }
        if finished {
            return self.finish(Outcome::Finished, "all steps are done".into());
        }
        if self.stopping {
            return self.finish(Outcome::Stopped, format!("stopped after step {step}"));
        }
        self.begin_step(now);
    }

    fn begin_step(&mut self, now: Duration) {
        let active: Vec<Session> = self.members.active().collect();
        if active.is_empty() {
            return self.note_waiting(now);
        }
        let step = self.progress.step;
        let plan = self.config.plan;
        let in_epoch = step % plan.steps_per_epoch().max(1);
        let present: Vec<bool> =
            (0..plan.shards()).map(|shard| !plan.microbatch(in_epoch, shard).is_empty()).collect();
        let tree = Tree::new(plan.shards());
        let assigned: BTreeMap<Session, Vec<Node>> = assignment::assign(tree, &active).into_iter().collect();
        if assigned != self.assigned {
            self.generation = self.generation.next();
            self.assigned = assigned;
        }
        let work = step::Work::new(&present, &self.assigned);
        self.actions.push_back(Action::Begin(present));
        self.actions.push_back(Action::Want(work.nodes().collect()));
        for &session in self.assigned.keys() {
            let nodes = work.nodes_of(session);
            if !nodes.is_empty() {
                let assign = Assign { generation: self.generation, step, nodes };
                self.actions.push_back(Action::Send(session, ToWorker::Assign(assign)));
            }
        }
        self.step_began = now;
        self.work = Work::Step(work);
    }

    fn committed(&mut self, now: Duration, committed: Committed) {
        let Work::Step(_) = self.work else { return };
        let plan = self.config.plan;
        let seconds = now.saturating_sub(self.step_began).as_secs_f64();
        self.progress.commit(&committed, seconds, plan.steps_per_epoch());
        let step = self.progress.step;
        let due = step.is_multiple_of(self.config.evaluate_every) || step >= self.config.total_steps;
        self.progress.evaluation_due = self.config.pieces > 0 && due;
        self.actions.push_back(Action::Record(Record::Step(StepRecord {
            step,
            total_steps: self.config.total_steps,
            epoch: self.progress.epoch(plan.steps_per_epoch()),
            loss: committed.summary.loss / committed.summary.weight,
            lr: committed.lr,
            norm: committed.norm,
            rows: committed.summary.rows,
            seconds,
            workers: self.members.active().count(),
        })));
        self.boundary(now);
    }

    fn abandoned(&mut self, now: Duration, whole: bool) {
        if !matches!(self.work, Work::Abandoned) {
            return;
        }
        if whole {
            return self.boundary(now);
        }
        let step = self.progress.step;
        let text = format!(
            "stopped in step {step}, whose workers are gone; a resume goes on from the last checkpoint"
        );
        self.finish(Outcome::Stopped, text);
    }

    fn evaluated(&mut self, now: Duration, session: Session, evaluated: Evaluated) {
        let Work::Evaluation(work) = &mut self.work else { return };
        if evaluated.step != self.progress.step {
            return;
        }
        if work.take(session, &evaluated.pieces) {
            let sums: Sums = work.total();
            let step = self.progress.step;
            self.progress.evaluation_due = false;
            self.progress.evaluation = Some(Evaluation { step, sums });
            let epoch = self.progress.epoch(self.config.plan.steps_per_epoch());
            self.actions.push_back(Action::Record(Record::Evaluation { step, epoch, sums }));
            self.boundary(now);
        }
    }

    fn saved(&mut self, now: Duration, step: u64, result: Result<(), String>) {
        if self.saving != Some(step) {
            return;
        }
        self.saving = None;
        match result {
            Ok(()) => self.progress.saved_step = Some(step),
            Err(why) => {
                self.not_saved = Some(step);
                self.notice(Notice::NotSaved { step, why: why.clone() });
                let last = self.stopping || step >= self.config.total_steps;
                // While a step is computed, the one after it can still be written.
                if last && step == self.progress.step && matches!(self.work, Work::Idle) {
                    let text = format!("the checkpoint of step {step} could not be written: {why}");
                    return self.finish(Outcome::Failed, text);
                }
            }
        }
        if matches!(self.work, Work::Idle) {
            self.boundary(now);
        }
    }

    /// After a stop: nothing is computed any more, or nobody is left to compute it.
    fn stop_if_idle(&mut self, now: Duration) {
        if !self.stopping {
            return;
        }
        match &self.work {
            Work::Idle | Work::Evaluation(_) => self.boundary(now),
            Work::Step(_) if self.members.active().next().is_none() => {
                self.work = Work::Abandoned;
                self.actions.push_back(Action::Abandon);
            }
            Work::Step(_) | Work::Abandoned | Work::Ended => {}
        }
    }

    fn finish(&mut self, outcome: Outcome, text: String) {
        self.work = Work::Ended;
        for session in self.members.all() {
            self.send(session, ToWorker::End(End { outcome, text: text.clone() }));
            self.actions.push_back(Action::Close(session));
        }
        self.actions.push_back(Action::Finish(outcome, text));
    }

    fn refuse(&mut self, session: Session, reason: Reason, text: String) {
        self.send(session, ToWorker::Refused(Refused { reason, text }));
        self.actions.push_back(Action::Close(session));
    }

    fn send(&mut self, session: Session, message: ToWorker) {
        self.actions.push_back(Action::Send(session, message));
    }

    fn notice(&mut self, notice: Notice) {
        self.actions.push_back(Action::Notice(notice));
    }
}

/// Between two lines that say what the run waits for.
const WAITING_NOTICE: Duration = Duration::from_secs(60);
