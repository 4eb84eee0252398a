//! What the coordinator's task does around the pure cluster: streams, sessions, disk, deadlines.

use std::time::Duration;

use lockstep_coordinator::cluster::{Input, Output};
use lockstep_coordinator::machine::Save;
use lockstep_coordinator::notice::{Awaited, Notice};
use lockstep_coordinator::outbox::Outbox;
use lockstep_coordinator::progress::Record;
use lockstep_coordinator::reducer::Snapshot;
use lockstep_proto::Session;
use lockstep_proto::message::{Down, FromWorker, Outcome, ToWorker, Up};

use super::invariants::Verdict;
use super::network::{Link, Plane, ToHost, ToHub};
use super::world::{Chore, Event, LIES, MOST_LIES, PUT_OUT, World};

impl World {
    pub(super) fn at_hub(&mut self, link: Link, message: ToHub) -> Verdict {
        let life = self.hub.life();
        if self.network.loses_up(link, &message) || self.network.get(link).life != life {
            return Ok(());
        }
        let Some(cluster) = &mut self.hub.cluster else { return Ok(()) };
        let connection = self.network.get(link);
        match message {
            ToHub::Eof(_) => self.broken(link, "connection closed"),
            ToHub::Control(message) => {
                let first = connection.session.is_none();
                let session = *connection.session.get_or_insert_with(|| cluster.new_session());
                if first {
                    self.note(format_args!("{link:?} is session {session}"));
                }
                let message = over_the_wire_up(message)?;
                if message != FromWorker::Heartbeat {
                    self.note(format_args!("◀ {session} {message:?}"));
                }
                self.input(Input::Control(session, message))
            }
            ToHub::Tensors(message) => {
                let message = tensors_over_the_wire_up(message)?;
                // A tensor stream is bound to the session that it names.
                let Some(session) = connection.session else { return Ok(()) };
                if !cluster.machine().knows(session) {
                    self.tally.count("late message of an ended session");
                }
                self.note(format_args!("◀ {session} {message:?}"));
                if let Up::Gradient(gradient) = &message {
                    self.inject_around(session, gradient)?;
                }
                self.input(Input::Tensors(session, message))
            }
        }
    }

    /// The coordinator sees that a stream has ended.
    pub(super) fn broken(&mut self, link: Link, why: &str) -> Verdict {
        let life = self.hub.life();
        let connection = self.network.get(link);
        match connection.session {
            Some(session) if connection.life == life && !connection.hub_closed => {
                self.note(format_args!("◀ {session} {why}"));
                self.input(Input::Gone(session, why.into()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn send_down(&mut self, link: Link, message: ToHost) {
        let at = self.network.down(self.now, link, &message, &mut self.dice);
        self.at(at, Event::ToHost(link, message));
    }

    pub(super) fn chore(&mut self, life: u32, chore: Chore) -> Verdict {
        if let Chore::Restart = chore {
            return if self.hub.cluster.is_some() { Ok(()) } else { self.start() };
        }
        let (now, current) = (self.now, self.hub.life());
        let Some(cluster) = self.hub.cluster.as_mut().filter(|_| life == current) else { return Ok(()) };
        match chore {
            Chore::Deadlines => {
                if self.hub.timeout.is_some_and(|at| at <= now) {
                    self.hub.timeout = None;
                }
                cluster.handle_timeout(now);
                self.taken(None, false)?;
                self.outputs()
            }
            Chore::Saved(saved) => self.saved(*saved),
            Chore::Restart => Ok(()),
        }
    }

    fn start(&mut self) -> Verdict {
        let case = self.case.clone();
        self.accepted.clear();
        let cluster = self.hub.start(&case);
        let step = cluster.machine().progress().step;
        let life = self.hub.life();
        self.note(format_args!("the coordinator starts for the {life}. time, at step {step}"));
        self.invariants.start(step);
        self.input(Input::Start)
    }

    fn saved(&mut self, (save, snapshot): (Save, Snapshot)) -> Verdict {
        let step = save.progress.step;
        let result = if std::mem::take(&mut self.hub.disk_full) {
            self.tally.count("fault: disk full");
            self.invariants.progress.not_saved(step);
            Err("no space left on device".into())
        } else {
            self.hub.disk.saved.push((save, snapshot));
            Ok(())
        };
        self.note(format_args!("checkpoint of step {step}: {result:?}"));
        self.input(Input::Saved { step, result })
    }

    /// Performs what the cluster asks for.
    pub(super) fn outputs(&mut self) -> Verdict {
        while let Some(output) = self.hub.cluster.as_mut().and_then(|cluster| cluster.poll_output()) {
            self.perform(output)?;
        }
        let (now, life) = (self.now, self.hub.life());
        let Some(cluster) = &self.hub.cluster else { return Ok(()) };
        self.invariants.memory.check(cluster.reducer(), self.hosts.len())?;
        let due = cluster.poll_timeout();
        if let Some(due) =
            due.map(|due| due.max(now)).filter(|due| self.hub.timeout.is_none_or(|at| *due < at))
        {
            self.hub.timeout = Some(due);
            self.at(due, Event::Hub(life, Chore::Deadlines));
        }
        Ok(())
    }

    fn perform(&mut self, output: Output) -> Verdict {
        let Some(cluster) = &self.hub.cluster else { return Ok(()) };
        match output {
            Output::Control(session, message) => {
                self.invariants.generations.sent(&message)?;
                self.invariants.flapping.sent(&self.case, session, &message);
                let message = control_over_the_wire_down(message)?;
                self.note(format_args!("▶ {session} {message:?}"));
                self.to(session, ToHost::Control(message));
            }
            Output::Tensors(session, message) => {
                let message = tensors_over_the_wire_down(message)?;
                self.note(format_args!("▶ {session} {message:?}"));
                self.queued(session, &message)?;
                self.queue(session, message);
            }
            Output::Close(session) => {
                self.note(format_args!("▶ {session} closed"));
                if let Some(link) = self.network.of_session(session)
                    && !std::mem::replace(&mut self.network.get(link).hub_closed, true)
                {
                    while self.pull(link) {}
                    self.send_down(link, ToHost::Eof(Plane::Control));
                    self.send_down(link, ToHost::Eof(Plane::Tensors));
                }
            }
            Output::Save(save, snapshot) => {
                self.invariants.weights.snapshot(&self.case, &snapshot)?;
                self.invariants.progress.saves(&self.case, &save)?;
                let delay = self.dice.millis(0, 400);
                self.after(delay, Event::Hub(self.hub.life(), Chore::Saved(Box::new((*save, snapshot)))));
            }
            Output::Remember(fingerprint) => self.hub.disk.fingerprint = Some(fingerprint),
            Output::Record(record) => {
                self.trace.line(self.now, format_args!("  {record:?}"));
                self.invariants.record(&self.case, cluster, &record)?;
                // Of the step before, in which it lied for the last time, all is compared.
                self.finished |= self.lying && self.tally.of(LIES) == MOST_LIES;
                if let Record::Step(record) = &record {
                    let case = &self.case;
                    let full = |step: u64| {
                        let in_epoch = step % case.plan.steps_per_epoch();
                        (0..case.plan.shards()).all(|shard| !case.plan.microbatch(in_epoch, shard).is_empty())
                    };
                    let whole = record.step > 1 && full(record.step - 1) && full(record.step - 2);
                    if self.invariants.flapping.committed(self.now, whole)? {
                        self.tally.count("shards followed the workers' speed");
                    }
                }
            }
            Output::Notice(notice) => {
                self.invariants.flapping.notice(self.now, &notice);
                if let Notice::Waiting { what: Awaited::Workers { here, least }, .. } = &notice
                    && (1..*least).contains(here)
                {
                    self.tally.count("fault: fewer workers than the least");
                }
                if let Notice::Skipped { what, .. } = &notice {
                    let spike = what.contains("the median of");
                    let what = if spike { "loss is too high" } else { "numbers are not finite" };
                    self.tally.count(format!("fault: a step whose {what}"));
                }
                if matches!(notice, Notice::Late { .. }) {
                    self.tally.count("fault: what a late worker had was computed by another too");
                }
                if let Notice::Differs { step, node, .. } = &notice {
                    self.invariants.audit.differs(*step, *node);
                    self.tally.count("fault: two workers computed different numbers");
                }
                if let Notice::Wrong(wrong) = &notice {
                    self.tally.count(PUT_OUT);
                    self.invariants.audit.put_out(&wrong.worker)?;
                    self.finished |= self.lying;
                }
                self.trace.line(self.now, format_args!("  {notice}"));
            }
            Output::Finish(outcome, text) => self.ended(outcome, &text)?,
        }
        Ok(())
    }

    /// Keeps the books of what is queued for a worker.
    fn queued(&mut self, session: Session, message: &Down) -> Verdict {
        let (Some(link), Down::Weights(weights)) = (self.network.of_session(session), message) else {
            return Ok(());
        };
        let connection = self.network.get(link);
        if weights.exact {
            if weights.step > connection.exact {
                (connection.exact, connection.queued.1) = (weights.step, 0);
            }
            connection.queued.1 += 1;
        } else {
            connection.queued.0 += 1;
            if connection.newest.replace(weights.step).is_some_and(|newest| newest + 1 < weights.step) {
                self.tally.count("a busy worker was passed over and caught up");
            }
        }
        self.invariants.outbox.check(connection.queued, self.case.chunks.len())
    }

    /// For a session whose streams are open; the connection takes it when it has room.
    fn queue(&mut self, session: Session, message: Down) {
        let Some(link) = self.network.of_session(session) else { return };
        let connection = self.network.get(link);
        if !connection.hub_closed {
            connection.outbox.push(message);
            let delay = self.dice.millis(0, 20);
            self.after(delay, Event::Pull(link));
        }
    }

    /// Whether something waited.
    pub(super) fn pull(&mut self, link: Link) -> bool {
        let connection = self.network.get(link);
        let message = connection.outbox.pop();
        let waited = message.is_some();
        if matches!(&message, Some(Down::Weights(weights)) if weights.exact) {
            connection.queued.1 -= 1;
        }
        if let Some(message) = message {
            self.send_down(link, ToHost::Tensors(message));
        }
        waited
    }

    /// Sends to a session whose streams are open.
    fn to(&mut self, session: Session, message: ToHost) {
        let Some(link) = self.network.of_session(session) else { return };
        if !self.network.get(link).hub_closed {
            self.send_down(link, message);
        }
    }

    fn ended(&mut self, outcome: Outcome, text: &str) -> Verdict {
        self.note(format_args!("the coordinator ends: {outcome:?}, {text}"));
        match outcome {
            Outcome::Finished => self.finished = true,
            Outcome::Stopped if self.hub.stopping => self.tally.count("fault: stopped and resumed"),
            Outcome::Failed if text.contains("no space left") => self.tally.count("failed for a full disk"),
            Outcome::Failed | Outcome::Stopped => return Err(format!("the run ended: {outcome:?}, {text}")),
        }
        self.end_life(true);
        Ok(())
    }

    /// The coordinator's process is gone; it is started again later. Its system closes its connections,
    /// unless that is gone too.
    pub(super) fn end_life(&mut self, closes: bool) {
        let life = self.hub.life();
        let open = self.network.all().filter(|(_, c)| c.life == life && !c.host_gone && !c.hub_closed);
        let open: Vec<Link> = open.map(|(link, _)| link).collect();
        for link in open {
            self.network.get(link).outbox = Outbox::default();
            if closes {
                self.send_down(link, ToHost::Eof(Plane::Control));
                self.send_down(link, ToHost::Eof(Plane::Tensors));
            } else {
                self.network.cut(link, Plane::Control);
                self.network.cut(link, Plane::Tensors);
                let delay = self.dice.millis(0, 15_000);
                self.after(delay, Event::HostNotices(link));
            }
        }
        if let Some(cluster) = self.hub.cluster.take() {
            for (refusal, times) in cluster.refused() {
                self.tally.add(format!("gradient refused: {refusal}"), *times);
            }
        }
        self.hub.paused = None;
        self.hub.deferred.clear();
        let delay = self.dice.millis(10, 4000);
        self.after(delay, Event::Hub(0, Chore::Restart));
    }

    pub(super) fn stop_hub(&mut self) -> Verdict {
        self.hub.stopping = true;
        self.input(Input::Stop)
    }

    pub(super) fn pause_hub(&mut self, pause: Duration) {
        self.hub.paused = Some(self.now + pause);
        self.after(pause, Event::WakeHub);
    }
}

// Every message takes the form that travels, and is read from it.

fn over_the_wire_up(message: FromWorker) -> Result<FromWorker, String> {
    lockstep_proto::wire::FromWorker::from(message).try_into().map_err(|error| format!("{error}"))
}

fn tensors_over_the_wire_up(message: Up) -> Result<Up, String> {
    lockstep_proto::wire::TensorsUp::from(message).try_into().map_err(|error| format!("{error}"))
}

fn control_over_the_wire_down(message: ToWorker) -> Result<ToWorker, String> {
    lockstep_proto::wire::ToWorker::from(message).try_into().map_err(|error| format!("{error}"))
}

fn tensors_over_the_wire_down(message: Down) -> Result<Down, String> {
    lockstep_proto::wire::TensorsDown::from(message).try_into().map_err(|error| format!("{error}"))
}
