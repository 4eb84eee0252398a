//! What the run waits for, once a minute in one line.

use std::time::Duration;

use super::{Machine, Work};
use crate::notice::{Awaited, Notice};
use lockstep_proto::Session;

/// Between two lines.
const AGAIN: Duration = Duration::from_secs(60);

/// What is waited for, and since when.
#[derive(Clone, Debug)]
pub(super) struct Wait {
    what: What,
    step: u64,
    /// Workers that were here when people were last told.
    here: u32,
    since: Duration,
    told: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Workers,
    Step,
    Evaluation,
    Checkpoint,
}

impl Wait {
    pub(super) fn next(&self) -> Duration {
        self.told + AGAIN
    }
}

impl Machine {
    /// After every event: is it still the same that is waited for? A run without enough workers says so at
    /// once, and again when one of them has come.
    pub(super) fn note_wait(&mut self, now: Duration) {
        let what = match &self.work {
            Work::Ended | Work::Abandoned => return self.wait = None,
            Work::Step(_) | Work::Evaluation(_) if self.members.active().next().is_none() => What::Workers,
            Work::Step(_) => What::Step,
            Work::Evaluation(_) => What::Evaluation,
            // Nothing is left to compute.
            Work::Idle if self.stopping || self.nothing_more() => What::Checkpoint,
            Work::Idle if self.staying() < self.config.min_workers => What::Workers,
            Work::Idle => What::Checkpoint,
        };
        let (step, here) = (self.progress.step, self.staying());
        let same = self.wait.as_ref().filter(|wait| (wait.what, wait.step) == (what, step));
        let since = same.map_or(now, |wait| wait.since);
        if same.is_some_and(|wait| what != What::Workers || wait.here == here) {
            return;
        }
        self.wait = Some(Wait { what, step, here, since, told: now });
        if what == What::Workers {
            self.tell(what, now.saturating_sub(since));
        }
    }

    /// Tells again, if it is time.
    pub(super) fn tell_waiting(&mut self, now: Duration) {
        if let Some(wait) = self.wait.as_mut().filter(|wait| now >= wait.next()) {
            wait.told = now;
            let (what, since) = (wait.what, wait.since);
            self.tell(what, now.saturating_sub(since));
        }
    }

    fn tell(&mut self, what: What, time: Duration) {
        let open: Vec<Session> = self.members.active().filter(|session| self.has_open(*session)).collect();
        let names = open.iter().filter_map(|session| Some(self.members.get(*session)?.hello.name.clone()));
        let names: Vec<String> = names.collect();
        let what = match what {
            What::Workers => Awaited::Workers { here: self.staying(), least: self.config.min_workers },
            What::Step => match self.undecided() {
                Some(node) => Awaited::Opinion(node),
                None => Awaited::Gradients(names),
            },
            What::Evaluation => Awaited::Pieces(names),
            What::Checkpoint => Awaited::Checkpoint,
        };
        self.notice(Notice::Waiting { step: self.progress.step, what, seconds: time.as_secs() });
    }

    /// Workers that would take part in a step.
    pub(super) fn staying(&self) -> u32 {
        let staying = self.members.iter().filter(|(_, member)| member.stays()).count();
        u32::try_from(staying).unwrap_or(u32::MAX)
    }
}
