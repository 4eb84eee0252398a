//! Who comes, who takes part, who goes.

use std::time::Duration;

use super::{Action, Config, Fingerprint, Machine, RETURN, Work};
use crate::notice::{Notice, Open};
use lockstep_core::run::spec::Numerics;
use lockstep_proto::message::{Hello, Ready, Reason, Refused, ToWorker, Welcome};
use lockstep_proto::{PROTOCOL, Session};

impl Machine {
    pub(super) fn hello(&mut self, now: Duration, session: Session, hello: Hello) {
        if self.knows(session) {
            // Were it taken, the session's work would be nobody's.
            return self.lose(now, session, "said hello twice".into(), Some(Reason::Malformed));
        }
        if self.greeted >= Some(session) {
            // The session has ended. Were it taken again, it could end another's under that one's name.
            return;
        }
        self.greeted = Some(session);
        if hello.protocol != PROTOCOL {
            let text = format!(
                "the worker speaks protocol {}, the coordinator {PROTOCOL}: run the same version of lockstep on both",
                hello.protocol
            );
            // What else another version's first message holds is not judged, but it goes into a line of the log.
            let worker = hello.name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
            self.notice(Notice::Refused { worker, text: text.clone() });
            return self.refuse(session, Reason::Protocol, text);
        }
        let Hello { name, host, numerics, cpu, .. } = &hello;
        let odd = |text: &String| text.len() > LONGEST_NAME || text.chars().any(char::is_control);
        if name.is_empty() || [name, host, numerics, cpu].into_iter().any(odd) {
            let text = format!(
                "a worker's name has 1 to {LONGEST_NAME} bytes, its host's, its processor's and its numerics' have at \
                 most so many, and none has line breaks or other control characters"
            );
            return self.refuse(session, Reason::Malformed, text);
        }
        if self.members.count() >= MOST_SESSIONS {
            return self.refuse(session, Reason::Ending, format!("{MOST_SESSIONS} workers are here already"));
        }
        if self.stopping {
            return self.refuse(session, Reason::Ending, "the coordinator is stopping".into());
        }
        if let Some(wrong) = self.progress.audit.put_out.iter().find(|wrong| wrong.worker == hello.name) {
            let text = format!("{wrong}; on another machine, start it under another --name");
            return self.refuse(session, Reason::Corrupt, text);
        }
        if let Some(old) = self.members.by_name(&hello.name) {
            self.lose(now, old, "a new session came under its name".into(), Some(Reason::Replaced));
        }
        self.missing.remove(&hello.name);
        let unwanted = self.unwanted.contains(&hello.name);
        self.members.join(session, now, hello);
        if let Some(member) = self.members.get_mut(session) {
            // Its session broke before it could be told.
            member.leaving = unwanted;
        }
        let Config { run, train, validation, kernel, window, blocks, .. } = &self.config;
        let welcome = Welcome {
            session,
            run: run.clone(),
            train: train.clone(),
            validation: validation.clone(),
            kernel: kernel.clone(),
            window: *window,
            blocks: *blocks,
        };
        self.send(session, ToWorker::Welcome(welcome));
    }

    /// A worker's work moves; while it joins, pauses are measured.
    pub(super) fn joins(&mut self, now: Duration, session: Session) {
        if let Some((member, pause)) = self.members.moved(session, now)
            && !member.is_active()
        {
            self.pace.joining(pause);
        }
    }

    pub(super) fn ready(&mut self, now: Duration, session: Session, ready: Ready) {
        self.joins(now, session);
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
    pub(super) fn activate(&mut self, now: Duration, session: Session) {
        let Some(member) = self.members.get(session).filter(|member| member.is_active()) else { return };
        if member.leaving {
            return self.release(session);
        }
        let notice = Notice::Joined {
            worker: member.hello.name.clone(),
            host: member.hello.host.clone(),
            threads: member.threads,
            step: self.progress.step,
        };
        self.progress.joined += 1;
        self.notice(notice);
        self.send(session, ToWorker::Accepted);
        self.actions.push_back(Action::Attach(session));
        match &self.work {
            Work::Idle => self.boundary(now),
            Work::Step(_) => {
                self.reassign_step(now);
                self.ask_suspects(now);
            }
            Work::Evaluation(_) => self.reassign_evaluation(now),
            Work::Abandoned | Work::Ended => {}
        }
        self.help(now);
    }

    /// A worker wants to go: at the next boundary, or now if nothing is asked of it.
    pub(super) fn leave(&mut self, now: Duration, session: Session) {
        let Some(member) = self.members.heard(session, now) else { return };
        member.leaving = true;
        if !member.is_active() || !self.has_open(session) {
            self.release(session);
        }
    }

    /// A worker is to go, as if it wanted to. One that still joins would not hear it: it goes when it has
    /// joined.
    pub(super) fn drain(&mut self, session: Session) {
        let Some(member) = self.members.get_mut(session) else { return };
        member.leaving = true;
        self.unwanted.insert(member.hello.name.clone());
        if self.members.get(session).is_some_and(|member| member.is_active()) && !self.has_open(session) {
            self.release(session);
        }
    }

    /// Between two steps: those who want to go may.
    pub(super) fn let_go(&mut self) {
        let leaving = self.members.iter().filter(|(_, member)| member.leaving && member.is_active());
        for session in leaving.map(|(session, _)| session).collect::<Vec<_>>() {
            self.release(session);
        }
    }

    fn release(&mut self, session: Session) {
        let Some(member) = self.members.leave(session) else { return };
        self.unwanted.remove(&member.hello.name);
        self.assigned.remove(&session);
        self.pace.forget(session);
        self.send(session, ToWorker::Leave);
        self.actions.push_back(Action::Close(session));
        if !member.is_active() {
            return;
        }
        self.actions.push_back(Action::Detach(session));
        match &mut self.work {
            Work::Step(work) => drop(work.lose(session)),
            Work::Evaluation(work) => drop(work.lose(session)),
            Work::Idle | Work::Abandoned | Work::Ended => {}
        }
        self.notice(Notice::Left { worker: member.hello.name, step: self.progress.step });
    }

    /// A session ends; its open work goes to others in the same step.
    pub(super) fn lose(&mut self, now: Duration, session: Session, why: String, tell: Option<Reason>) {
        if self.end(now, session, why, tell) {
            self.go_on_without(now);
        }
    }

    /// A session ends. Whether it took part in the work.
    pub(super) fn end(&mut self, now: Duration, session: Session, why: String, tell: Option<Reason>) -> bool {
        let Some(member) = self.members.leave(session) else { return false };
        self.assigned.remove(&session);
        self.pace.forget(session);
        if tell.is_none_or(Reason::may_return) {
            self.missing.retain(|_, lost| now.saturating_sub(*lost) < RETURN);
            self.missing.insert(member.hello.name.clone(), now);
        }
        if let Some(reason) = tell {
            self.refuse(session, reason, why.clone());
        } else {
            self.actions.push_back(Action::Close(session));
        }
        if !member.is_active() {
            return false;
        }
        self.progress.lost += 1;
        self.actions.push_back(Action::Detach(session));
        let open = match &mut self.work {
            Work::Step(work) => Some(work.lose(session)).filter(|open| !open.is_empty()).map(Open::Nodes),
            Work::Evaluation(work) => {
                Some(work.lose(session).len()).filter(|open| *open > 0).map(Open::Pieces)
            }
            Work::Idle | Work::Abandoned | Work::Ended => None,
        };
        let open = open.unwrap_or(Open::Nothing);
        let step = self.progress.step;
        self.notice(Notice::Lost { worker: member.hello.name, why, step, open });
        self.suspicions.lose(session);
        true
    }

    /// What ended sessions had open goes to others.
    pub(super) fn go_on_without(&mut self, now: Duration) {
        match self.work {
            Work::Step(_) => {
                self.reassign_step(now);
                self.ask_suspects(now);
                self.settle_disputes(now);
            }
            Work::Evaluation(_) => self.reassign_evaluation(now),
            Work::Idle | Work::Abandoned | Work::Ended => {}
        }
        self.note_wait(now);
        self.stop_if_idle(now);
    }

    pub(super) fn refuse(&mut self, session: Session, reason: Reason, text: String) {
        self.send(session, ToWorker::Refused(Refused { reason, text }));
        self.actions.push_back(Action::Close(session));
    }
}

/// Bytes of a name that can be shown.
const LONGEST_NAME: usize = 200;

/// Bounds what peers can make the coordinator remember.
const MOST_SESSIONS: usize = 4096;
