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
mod audit;
mod balance;
mod course;
mod duty;
mod evaluation;
mod labour;
mod members;
mod membership;
mod nonfinite;
mod pace;
mod parts;
mod saving;
mod seen;
mod step;
#[cfg(test)]
mod tests;
mod types;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use lockstep_core::tree::Node;
use lockstep_proto::message::{End, Outcome, Reason, ToWorker};
use lockstep_proto::{Generation, Session};

use crate::notice::Notice;
use crate::progress::Progress;
use balance::Balance;
use members::Members;
use pace::Pace;
use waiting::Wait;

pub use assignment::assign;
pub use audit::audited;
pub use members::MISSED_HEARTBEATS;
pub use seen::{Doing, Seen};
pub use types::{Action, Config, Event, Fingerprint, Save, Watched};

/// What is being done.
#[derive(Clone, Debug)]
enum Work {
    /// Too few are here, or the next step waits for a checkpoint.
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
    /// The newest session that has said hello; they are numbered as they come.
    greeted: Option<Session>,
    progress: Progress,
    work: Work,
    /// The shards of each worker in the last step, to see whether an assignment is new.
    assigned: BTreeMap<Session, Vec<Node>>,
    /// The step whose checkpoint is being written.
    saving: Option<u64>,
    /// The step whose checkpoint failed last: it is not tried again before there is a need.
    not_saved: Option<u64>,
    /// When a checkpoint was last asked for.
    saved_at: Duration,
    /// Of the open step.
    suspicions: nonfinite::Suspicions,
    stopping: bool,
    told_no_audit: bool,
    /// How the run has ended.
    end: Option<End>,
    /// Workers that were lost and have not come again, and when.
    missing: BTreeMap<String, Duration>,
    /// Names of workers that an admin wants to go, until they have gone in order.
    unwanted: BTreeSet<String>,
    balance: Balance,
    pace: Pace,
    wait: Option<Wait>,
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
            greeted: None,
            progress,
            work: Work::Idle,
            assigned: BTreeMap::new(),
            saving: None,
            not_saved: None,
            saved_at: Duration::ZERO,
            suspicions: nonfinite::Suspicions::default(),
            stopping: false,
            told_no_audit: false,
            end: None,
            missing: BTreeMap::new(),
            unwanted: BTreeSet::new(),
            balance: Balance::default(),
            pace: Pace::default(),
            wait: None,
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
        let tell = self.wait.as_ref().map(Wait::next);
        let search = self.suspicions.deadline();
        late.into_iter().chain(tell).chain(self.first_due()).chain(search).min()
    }

    /// How far the run is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether a worker that was lost a moment ago may come again, to hear that the run has ended.
    pub fn awaits(&self, now: Duration) -> bool {
        self.missing.values().any(|lost| now.saturating_sub(*lost) < RETURN)
    }

    /// Whether the session is one of the run's.
    pub fn knows(&self, session: Session) -> bool {
        self.members.get(session).is_some()
    }

    /// Sessions that were silent for too long end, and those whose work stands still; what late ones have
    /// open is given to others too; people are told what the run waits for.
    pub fn handle_timeout(&mut self, now: Duration) {
        for session in self.members.late(now, self.config.heartbeat) {
            if matches!(self.work, Work::Ended) {
                return;
            }
            let silent = self.config.heartbeat * MISSED_HEARTBEATS;
            self.lose(now, session, format!("silent for {} ms", silent.as_millis()), Some(Reason::Late));
        }
        self.search_is_late(now);
        self.check_duties(now);
        self.note_wait(now);
        self.tell_waiting(now);
    }

    /// Takes an event. Messages of sessions that have ended change nothing.
    pub fn handle(&mut self, now: Duration, event: Event) {
        if matches!(self.work, Work::Ended) {
            if let (Event::Hello(session, hello), Some(end)) = (event, self.end.clone()) {
                self.missing.remove(&hello.name);
                self.send(session, ToWorker::End(end));
                self.actions.push_back(Action::Close(session));
            }
            return;
        }
        self.take(now, event);
        self.note_wait(now);
    }

    fn take(&mut self, now: Duration, event: Event) {
        match event {
            Event::Start => {
                self.saved_at = now;
                self.boundary(now);
            }
            Event::Hello(session, hello) => self.hello(now, session, hello),
            Event::Ready(session, ready) => self.ready(now, session, ready),
            Event::Tensors(session) => {
                self.joins(now, session);
                if let Some(member) = self.members.heard(session, now)
                    && !std::mem::replace(&mut member.tensors, true)
                {
                    self.activate(now, session);
                }
            }
            Event::Heard(session) => {
                self.members.heard(session, now);
            }
            Event::Moved(session) => self.joins(now, session),
            Event::Released(session, step) => self.released(now, session, step),
            Event::Computed(session, computed) => self.computed(now, session, computed),
            Event::Leave(session) => self.leave(now, session),
            Event::Drain(session) => self.drain(session),
            Event::Evaluated(session, evaluated) => {
                if self.members.heard(session, now).is_some() {
                    self.evaluated(now, session, evaluated);
                }
            }
            Event::Gone(session, why) => self.lose(now, session, why, None),
            Event::NodeDone(node) => {
                if let Work::Step(work) = &mut self.work {
                    self.progress.audit.pairs += u64::from(work.audits.contains(node) && !work.is_over(node));
                    work.finish(node);
                    for worker in self.suspicions.cleared(node) {
                        self.notice(Notice::Doubtful { worker, step: self.progress.step, node });
                    }
                }
            }
            Event::Committed(committed) => self.committed(now, committed),
            Event::Abandoned { whole } => self.abandoned(now, whole),
            Event::NodeNotFinite(session, node) => self.not_finite(now, session, node),
            Event::Differs(node, sessions) => self.differs(now, node, &sessions),
            Event::Wrong(session, node) => self.wrong(now, session, node),
            Event::NotFinite { step, what } => self.give_up(step, what),
            Event::Explained(session, explained) => {
                if self.members.heard(session, now).is_some() {
                    self.explained(now, session, explained);
                }
            }
            Event::Saved { step, result } => self.saved(now, step, result),
            Event::Failed(why) => self.finish(Outcome::Failed, why),
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

    fn send(&mut self, session: Session, message: ToWorker) {
        self.actions.push_back(Action::Send(session, message));
    }

    fn notice(&mut self, notice: Notice) {
        self.actions.push_back(Action::Notice(notice));
    }
}

/// A worker that lives comes again within this time.
const RETURN: Duration = Duration::from_secs(3);
