//! What can be seen of the machine. It is only looked at: nothing here changes anything.

use std::time::Duration;

use lockstep_core::metrics::Report;
use lockstep_core::tree::Node;
use lockstep_proto::Session;
use lockstep_proto::message::Hello;

use super::{Machine, Work};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// No step is open.
    Waiting,
    /// A step is open.
    Step,
    /// An evaluation is open.
    Evaluation,
    /// The run is over.
    Ended,
}

/// A session that is here.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What it said of itself.
    pub hello: Hello,
    /// It takes part.
    pub active: bool,
    /// Its answer takes longer than usual.
    pub late: bool,
    /// It wants to go.
    pub leaving: bool,
    /// Compute threads.
    pub threads: u32,
    /// Assigned to it in the last step, ascending.
    pub shards: Vec<u32>,
    /// Of one shard, where it was measured.
    pub nanoseconds: Option<u64>,
    /// Since something came from it.
    pub silent: Duration,
}

impl Machine {
    /// What is being done. With nobody here, nothing is, whatever is open.
    pub fn doing(&self) -> Doing {
        let nobody = !self.members.iter().any(|(_, member)| member.is_active());
        match self.work {
            Work::Step(_) | Work::Evaluation(_) if nobody => Doing::Waiting,
            Work::Idle | Work::Abandoned => Doing::Waiting,
            Work::Step(_) => Doing::Step,
            Work::Evaluation(_) => Doing::Evaluation,
            Work::Ended => Doing::Ended,
        }
    }

    /// Whether it was asked to end.
    pub const fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Epoch of the last step that is done, counted from 1.
    pub fn epoch(&self) -> u64 {
        self.progress.epoch(self.config.plan.steps_per_epoch())
    }

    /// The newest evaluation.
    pub fn validation(&self) -> Option<Report> {
        self.progress.evaluation.and_then(|newest| newest.sums.report(self.config.watched.kind))
    }

    /// Whether nothing is done any more.
    pub fn has_ended(&self) -> bool {
        matches!(self.work, Work::Ended)
    }

    /// The session under a name.
    pub fn session_of(&self, worker: &str) -> Option<Session> {
        self.members.by_name(worker)
    }

    /// Names of those who are here and not on their way out, in the order in which they came.
    pub fn here(&self) -> Vec<String> {
        let staying = self.members.iter().filter(|(_, member)| !member.leaving);
        staying.map(|(_, member)| member.hello.name.clone()).collect()
    }

    /// Every session, in the order in which they came.
    pub fn seen(&self, now: Duration) -> Vec<Seen> {
        let all = self.config.plan.shards();
        let seen = self.members.iter().map(|(session, member)| {
            let nodes = self.assigned.get(&session).map(Vec::as_slice).unwrap_or_default();
            let shards = nodes.iter().copied().flat_map(Node::shards).filter(|shard| *shard < all);
            let mut shards: Vec<u32> = shards.collect();
            shards.sort_unstable();
            Seen {
                hello: member.hello.clone(),
                active: member.is_active(),
                late: member.duty.is_some_and(|duty| duty.late),
                leaving: member.leaving,
                threads: member.threads,
                shards,
                nanoseconds: self.pace.measured(session),
                silent: member.silent(now),
            }
        });
        seen.collect()
    }
}
