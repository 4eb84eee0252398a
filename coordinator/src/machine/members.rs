//! Who is in the run.

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep_proto::Session;
use lockstep_proto::message::Hello;

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
    heard: Duration,
}

impl Member {
    pub(super) fn is_active(&self) -> bool {
        self.ready && self.tensors
    }

    fn deadline(&self, heartbeat: Duration) -> Duration {
        let missed = if self.is_active() { MISSED_HEARTBEATS } else { JOINING_GRACE };
        self.heard + heartbeat * missed
    }
}

/// All sessions, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    sessions: BTreeMap<Session, Member>,
}

impl Members {
    pub(super) fn join(&mut self, session: Session, now: Duration, hello: Hello) {
        let member = Member { hello, threads: 1, ready: false, tensors: false, heard: now };
        self.sessions.insert(session, member);
    }

    pub(super) fn leave(&mut self, session: Session) -> Option<Member> {
        self.sessions.remove(&session)
    }

    pub(super) fn get(&self, session: Session) -> Option<&Member> {
        self.sessions.get(&session)
    }

    /// A sign of life; `None` of a session that has ended.
    pub(super) fn heard(&mut self, session: Session, now: Duration) -> Option<&mut Member> {
        let member = self.sessions.get_mut(&session)?;
        member.heard = now;
        Some(member)
    }

    pub(super) fn by_name(&self, name: &str) -> Option<Session> {
        self.sessions.iter().find(|(_, member)| member.hello.name == name).map(|(session, _)| *session)
    }

    pub(super) fn count(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn all(&self) -> Vec<Session> {
        self.sessions.keys().copied().collect()
    }

    pub(super) fn active(&self) -> impl Iterator<Item = Session> {
        self.sessions.iter().filter(|(_, member)| member.is_active()).map(|(session, _)| *session)
    }

    pub(super) fn first_deadline(&self, heartbeat: Duration) -> Option<Duration> {
        self.sessions.values().map(|member| member.deadline(heartbeat)).min()
    }

    pub(super) fn late(&self, now: Duration, heartbeat: Duration) -> Vec<Session> {
        let late = self.sessions.iter().filter(|(_, member)| member.deadline(heartbeat) <= now);
        late.map(|(session, _)| *session).collect()
    }
}
