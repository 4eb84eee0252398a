//! Who is in the run.

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep_proto::Session;
use lockstep_proto::message::Hello;

use super::duty::Duty;
use super::pace::Pace;

/// A session that misses this many heartbeats ends.
pub const MISSED_HEARTBEATS: u32 = 3;

/// A worker that may still be loading its rows.
const JOINING_GRACE: u32 = 10;

/// One worker's session.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) hello: Hello,
    pub(super) threads: u32,
    /// Its model is built and its bits are the run's.
    pub(super) ready: bool,
    /// Its tensor stream is open.
    pub(super) tensors: bool,
    /// It wants to go.
    pub(super) leaving: bool,
    /// What it has not answered.
    pub(super) duty: Option<Duty>,
    /// When people were last told that it is late.
    pub(super) told_late: Option<Duration>,
    heard: Duration,
    /// When its work last moved.
    moved: Duration,
}

impl Member {
    pub(super) fn is_active(&self) -> bool {
        self.ready && self.tensors
    }

    /// Takes part in what begins.
    pub(super) fn stays(&self) -> bool {
        self.is_active() && !self.leaving
    }

    /// Since it was last heard of.
    pub(super) fn silent(&self, now: Duration) -> Duration {
        now.saturating_sub(self.heard)
    }

    fn deadline(&self, heartbeat: Duration) -> Duration {
        let missed = if self.is_active() { MISSED_HEARTBEATS } else { JOINING_GRACE };
        self.heard + heartbeat * missed
    }

    /// Since when nothing has moved in what it has to do, and how long that may last.
    pub(super) fn stalled(&self, session: Session, pace: &Pace) -> Option<(Duration, Duration)> {
        let (since, limit) = match &self.duty {
            Some(duty) => (duty.since, pace.limit(session, duty.asked.kind, duty.asked.units)?),
            None if !self.is_active() => (self.moved, pace.joining_limit()?),
            None => return None,
        };
        Some((since.max(self.moved), limit))
    }
}

/// All sessions, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    sessions: BTreeMap<Session, Member>,
}

impl Members {
    pub(super) fn join(&mut self, session: Session, now: Duration, hello: Hello) {
        let member = Member {
            hello,
            threads: 1,
            ready: false,
            tensors: false,
            leaving: false,
            duty: None,
            told_late: None,
            heard: now,
            moved: now,
        };
        self.sessions.insert(session, member);
    }

    pub(super) fn leave(&mut self, session: Session) -> Option<Member> {
        self.sessions.remove(&session)
    }

    pub(super) fn get(&self, session: Session) -> Option<&Member> {
        self.sessions.get(&session)
    }

    pub(super) fn get_mut(&mut self, session: Session) -> Option<&mut Member> {
        self.sessions.get_mut(&session)
    }

    /// A sign of life; `None` of a session that has ended.
    pub(super) fn heard(&mut self, session: Session, now: Duration) -> Option<&mut Member> {
        let member = self.sessions.get_mut(&session)?;
        member.heard = now;
        Some(member)
    }

    /// A sign that its work moves, and how long there was none.
    pub(super) fn moved(&mut self, session: Session, now: Duration) -> Option<(&mut Member, Duration)> {
        let member = self.heard(session, now)?;
        let pause = now.saturating_sub(std::mem::replace(&mut member.moved, now));
        Some((member, pause))
    }

    pub(super) fn by_name(&self, name: &str) -> Option<Session> {
        self.sessions.iter().find(|(_, member)| member.hello.name == name).map(|(session, _)| *session)
    }

    pub(super) fn count(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Session, &Member)> {
        self.sessions.iter().map(|(session, member)| (*session, member))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Session, &mut Member)> {
        self.sessions.iter_mut().map(|(session, member)| (*session, member))
    }

    pub(super) fn all(&self) -> Vec<Session> {
        self.sessions.keys().copied().collect()
    }

    pub(super) fn active(&self) -> impl Iterator<Item = Session> {
        self.iter().filter(|(_, member)| member.is_active()).map(|(session, _)| session)
    }

    /// Those who take part in what begins; if all want to go, they are asked once more.
    pub(super) fn crew(&self) -> Vec<Session> {
        let staying: Vec<Session> =
            self.iter().filter(|(_, member)| member.stays()).map(|(session, _)| session).collect();
        if staying.is_empty() { self.active().collect() } else { staying }
    }

    pub(super) fn first_deadline(&self, heartbeat: Duration) -> Option<Duration> {
        self.sessions.values().map(|member| member.deadline(heartbeat)).min()
    }

    pub(super) fn late(&self, now: Duration, heartbeat: Duration) -> Vec<Session> {
        let late = self.sessions.iter().filter(|(_, member)| member.deadline(heartbeat) <= now);
        late.map(|(session, _)| *session).collect()
    }
}
