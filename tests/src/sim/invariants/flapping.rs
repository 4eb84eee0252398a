//! Shards do not move to and fro while the same workers are here.
//!
//! They may follow speeds, but ever more rarely: so seldom that workers whose speeds never settle, and
//! faults that change them, stay within the bound too.

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep_coordinator::machine::audited;
use lockstep_coordinator::notice::Notice;
use lockstep_core::tree::Node;
use lockstep_proto::message::{Assign, ToWorker};
use lockstep_proto::{Generation, Session};

use crate::sim::case::Case;

type Shares = BTreeMap<Session, Vec<Node>>;

#[derive(Debug, Default)]
pub(in crate::sim) struct Flapping {
    /// Of the newest step: its first generation, and who got what by it.
    step: Option<(u64, Generation)>,
    shares: Shares,
    before: Option<Shares>,
    /// Since when the same workers are here.
    since: Duration,
    moves: u32,
    /// A second worker computes something of these steps too, which moves nothing.
    audited: Option<u64>,
}

impl Flapping {
    pub(super) fn start(&mut self) {
        *self = Self::default();
    }

    /// Workers come and go.
    pub(in crate::sim) fn notice(&mut self, now: Duration, notice: &Notice) {
        if matches!(notice, Notice::Joined { .. } | Notice::Lost { .. } | Notice::Left { .. }) {
            (self.since, self.moves, self.before) = (now, 0, None);
            self.step = None;
            self.shares.clear();
        }
    }

    pub(in crate::sim) fn sent(&mut self, case: &Case, session: Session, message: &ToWorker) {
        let ToWorker::Assign(Assign { generation, step, nodes }) = message else { return };
        if self.step.is_none_or(|(newest, _)| newest < *step) {
            self.step = Some((*step, *generation));
            self.before = Some(std::mem::take(&mut self.shares)).filter(|shares| !shares.is_empty());
        }
        // What is given within a step, to help or after a loss, moves nothing.
        if self.step == Some((*step, *generation)) {
            self.shares.insert(session, nodes.clone());
            let audit = |node: &Node| audited(case.run.seed, case.run.cluster.audit, *step, *node);
            self.audited = self.audited.max(nodes.iter().any(audit).then_some(*step));
        }
    }

    /// A step is committed. Returns whether shards had moved for it.
    pub(in crate::sim) fn committed(&mut self, now: Duration, whole: bool) -> Result<bool, String> {
        // In a step in which some shards have no rows, workers get less than is theirs.
        let compared = self.audited.zip(self.step).is_some_and(|(audited, (step, _))| step <= audited + 1);
        let moved = whole && !compared && self.before.as_ref().is_some_and(|before| *before != self.shares);
        self.moves += u32::from(moved);
        let seconds = now.saturating_sub(self.since).as_secs();
        // At most once in 1, 2, 4 … 64 s, and 64 again.
        let most = 2 + (seconds + 1).ilog2() + (seconds / 64) as u32;
        if self.moves > most {
            return Err(format!("flapping: shards moved {} times in {seconds} s", self.moves));
        }
        Ok(moved)
    }
}
