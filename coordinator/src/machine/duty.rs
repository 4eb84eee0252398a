//! What a worker was asked for and has not answered yet.

use std::time::Duration;

use lockstep_proto::Generation;

use super::pace::{Kind, Patience};

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) kind: Kind,
    pub(super) generation: Generation,
    pub(super) step: u64,
    /// How much is asked for.
    pub(super) units: u32,
}

impl Question {
    fn is_of_step(&self, other: &Self) -> bool {
        (self.kind, self.step) == (other.kind, other.step)
    }
}

/// From the first question on that was not answered until the answer to the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Duty {
    /// The newest question.
    pub(super) asked: Question,
    /// The oldest one that is not answered, where that is another.
    pub(super) earlier: Option<Question>,
    /// It was asked for more within its step: times say nothing of it.
    more: bool,
    /// The oldest question has had its turn since then.
    pub(super) since: Duration,
    /// From then on the worker is late.
    pub(super) due: Duration,
    /// `due` rests on what was measured.
    pub(super) measured: bool,
    pub(super) late: bool,
}

impl Duty {
    /// A further question, to a worker that may still be busy with an earlier one.
    pub(super) fn ask(before: Option<Self>, now: Duration, asked: Question, patience: Patience) -> Self {
        let within = before.is_some_and(|before| before.asked.is_of_step(&asked));
        let earlier = before.and_then(|before| before.earlier.or((!within).then_some(before.asked)));
        let since = before.map_or(now, |before| before.since);
        let Patience { lasts, measured } = patience;
        Self { asked, earlier, more: within, since, due: now + lasts, measured, late: false }
    }

    /// What was answered in one go, if it was: this question, that of an assignment to a step.
    pub(super) fn answers(&self, generation: Generation, step: u64) -> Option<Question> {
        let oldest = self.earlier.unwrap_or(self.asked);
        let matches = (oldest.kind, oldest.generation, oldest.step) == (Kind::Shards, generation, step);
        (matches && (self.earlier.is_some() || !self.more)).then_some(oldest)
    }

    /// The earlier questions are answered: the newest has its turn.
    pub(super) fn begins(&mut self, now: Duration, patience: Patience) {
        self.since = now;
        self.more |= self.earlier.take().is_none();
        self.wait(now, patience);
    }

    pub(super) fn wait(&mut self, from: Duration, patience: Patience) {
        self.due = from + patience.lasts;
        self.measured = patience.measured;
        self.late = false;
    }
}
