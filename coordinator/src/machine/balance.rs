//! When shards move from worker to worker: with who is here, and when it gains enough.

use std::time::Duration;

use lockstep_core::tree::{Node, Tree};
use lockstep_proto::Session;

use super::assignment::{assign, done};

/// Shards move when the last worker is done so much earlier: 15 %.
const GAIN: (u128, u128) = (115, 100);

/// At least so long passes between two moves among the same workers; twice as long after each.
const PAUSE: Duration = Duration::from_secs(1);

/// It does not grow further.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);

/// The shards of each worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Balance {
    workers: Vec<Session>,
    assigned: Vec<(Session, Vec<Node>)>,
    pause: Duration,
    next: Duration,
}

impl Balance {
    /// Who computes what in the step that begins. The same as before, unless other workers are here, or
    /// shards that follow the workers' costs better save enough.
    pub(super) fn settle(
        &mut self,
        now: Duration,
        tree: Tree,
        workers: &[(Session, u64)],
    ) -> &[(Session, Vec<Node>)] {
        let others = !self.workers.iter().eq(workers.iter().map(|(session, _)| session));
        if others {
            self.workers = workers.iter().map(|(session, _)| *session).collect();
            self.assigned = assign(tree, workers);
            self.pause = PAUSE;
            self.next = now + PAUSE;
        } else if now >= self.next {
            let better = assign(tree, workers);
            let [is, could] = [&self.assigned, &better].map(|assigned| done(tree, assigned, workers));
            if is.saturating_mul(GAIN.1) > could.saturating_mul(GAIN.0) {
                self.assigned = better;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                self.next = now + self.pause;
            }
        }
        &self.assigned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Shards of each worker.
    fn settle(balance: &mut Balance, at: u32, costs: &[u64]) -> Vec<u32> {
        let tree = Tree::new(8);
        let workers: Vec<_> = costs.iter().zip(1..).map(|(cost, n)| (Session::new(1, n), *cost)).collect();
        let assigned = balance.settle(MS * at, tree, &workers);
        assigned.iter().map(|(_, nodes)| super::super::assignment::count(tree, nodes)).collect()
    }

    #[test]
    fn shards_move_at_once_with_workers_and_rarely_with_speeds() {
        let mut balance = Balance::default();
        assert_eq!(settle(&mut balance, 0, &[10, 10]), [4, 4]);
        assert_eq!(settle(&mut balance, 10, &[10, 30]), [4, 4], "too early");
        assert_eq!(settle(&mut balance, 1000, &[10, 11]), [4, 4], "it gains nothing");
        assert_eq!(settle(&mut balance, 1000, &[10, 30]), [6, 2]);
        assert_eq!(settle(&mut balance, 2500, &[30, 10]), [6, 2], "too early after the last move");
        assert_eq!(settle(&mut balance, 3000, &[30, 10]), [2, 6]);
        assert_eq!(settle(&mut balance, 3001, &[30, 10, 10]), [1, 4, 3]);
    }

    #[test]
    fn speeds_that_never_settle_move_shards_ever_more_rarely() {
        let mut balance = Balance::default();
        let mut moves = 0;
        let mut last = settle(&mut balance, 0, &[10, 10]);
        for second in 0..300 {
            let costs = if second % 2 == 0 { [10, 40] } else { [40, 10] };
            let now = settle(&mut balance, 1000 * second, &costs);
            moves += u32::from(now != last);
            last = now;
        }
        assert!(moves <= 10, "{moves}");
    }
}
