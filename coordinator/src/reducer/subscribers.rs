//! Who is sent which weights.
//!
//! A worker has a double buffer: W(t), on which it computes, and the other half, which fills with
//! W(t+1) as its chunks are applied. W(t+2) goes only to workers that have released W(t); one that is
//! still busy with t is passed over, and is sent the current W whole when it has room again. So what
//! is queued for a worker never exceeds two vectors.

use std::collections::BTreeMap;

use lockstep_proto::Session;

/// What one worker has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Subscriber {
    /// The newest W that was sent whole.
    whole: u64,
    /// It needs no W older than this.
    released: u64,
    /// How many of the applied chunks of W(whole + 1) were sent; meaningless when behind.
    sent: usize,
    /// The newest W that was sent exact.
    exact: Option<u64>,
}

/// What to send to one worker now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) session: Session,
    /// All of W(t), t being the current step.
    pub(super) whole: bool,
    /// Of the applied chunks of W(t+1), those from here on.
    pub(super) applied_from: usize,
}

/// The workers that are sent weights.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscribers {
    all: BTreeMap<Session, Subscriber>,
}

impl Subscribers {
    /// A new worker: both halves of its buffer are free. `None` if it is here already.
    pub(super) fn attach(&mut self, session: Session, step: u64, applied: usize) -> Option<Due> {
        let new = Subscriber { whole: step, released: step, sent: applied, exact: None };
        if self.all.contains_key(&session) {
            return None;
        }
        self.all.insert(session, new);
        Some(Due { session, whole: true, applied_from: 0 })
    }

    pub(super) fn detach(&mut self, session: Session) {
        self.all.remove(&session);
    }

    pub(super) fn contains(&self, session: Session) -> bool {
        self.all.contains_key(&session)
    }

    /// Whether a worker has not been sent the exact W(step) yet; from now on it has.
    pub(super) fn needs_exact(&mut self, session: Session, step: u64) -> bool {
        let subscriber = self.all.get_mut(&session);
        subscriber.is_some_and(|subscriber| subscriber.exact.replace(step) != Some(step))
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = Session> {
        self.all.keys().copied()
    }

    /// Chunks of W(step + 1) have been applied, `applied` in all: who gets the new ones?
    pub(super) fn advance(&mut self, step: u64, applied: usize) -> impl Iterator<Item = Due> {
        let current = self.all.iter_mut().filter(move |(_, s)| s.whole == step && s.released >= step);
        let behind = current.filter(move |(_, s)| s.sent < applied);
        behind.map(move |(session, s)| {
            let applied_from = std::mem::replace(&mut s.sent, applied);
            Due { session: *session, whole: false, applied_from }
        })
    }

    /// W(step + 1) is whole: it is the current one now. Those that had room were sent all of it.
    pub(super) fn commit(&mut self, step: u64, chunks: usize) {
        for subscriber in self.all.values_mut() {
            if subscriber.whole == step && subscriber.sent == chunks {
                subscriber.whole = step + 1;
            }
            subscriber.sent = 0;
        }
    }

    /// A worker needs no W older than `released`; what is it sent now that half its buffer is free?
    /// A claim past what it was sent is ignored.
    pub(super) fn release(
        &mut self,
        session: Session,
        released: u64,
        step: u64,
        applied: usize,
    ) -> Option<Due> {
        let subscriber = self.all.get_mut(&session)?;
        if released > subscriber.whole || released <= subscriber.released {
            return None;
        }
        subscriber.released = released;
        if subscriber.released < subscriber.whole {
            return None;
        }
        if subscriber.whole < step {
            // It was passed over. The new W fills the free half, so W(step + 1) must wait.
            subscriber.whole = step;
            subscriber.sent = 0;
            return Some(Due { session, whole: true, applied_from: applied });
        }
        let applied_from = std::mem::replace(&mut subscriber.sent, applied);
        (applied_from < applied).then_some(Due { session, whole: false, applied_from })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Session = Session::new(1, 1);

    fn advance(all: &mut Subscribers, step: u64, applied: usize) -> Vec<Due> {
        all.advance(step, applied).collect()
    }

    #[test]
    fn a_busy_worker_is_passed_over_and_catches_up_whole() {
        let mut all = Subscribers::default();
        assert_eq!(all.attach(A, 5, 0), Some(Due { session: A, whole: true, applied_from: 0 }));
        assert_eq!(all.attach(A, 5, 0), None);
        assert_eq!(advance(&mut all, 5, 1), [Due { session: A, whole: false, applied_from: 0 }]);
        assert_eq!(advance(&mut all, 5, 3), [Due { session: A, whole: false, applied_from: 1 }]);
        all.commit(5, 3);
        // It holds W(5) and W(6), and has released neither: W(7) and W(8) pass it by.
        assert_eq!(advance(&mut all, 6, 3), []);
        all.commit(6, 3);
        assert_eq!(advance(&mut all, 7, 2), []);
        // It lets go of W(5): there is room for W(7), whole, but not yet for W(8).
        let due = all.release(A, 6, 7, 2);
        assert_eq!(due, Some(Due { session: A, whole: true, applied_from: 2 }));
        assert_eq!(advance(&mut all, 7, 3), []);
        let due = all.release(A, 7, 7, 3);
        assert_eq!(due, Some(Due { session: A, whole: false, applied_from: 0 }));
        assert_eq!(all.release(A, 99, 7, 3), None);
        all.commit(7, 3);
        assert_eq!(all.release(A, 8, 8, 0), None);
        assert_eq!(advance(&mut all, 8, 1), [Due { session: A, whole: false, applied_from: 0 }]);
    }

    #[test]
    fn a_claim_past_what_was_sent_is_ignored() {
        let mut all = Subscribers::default();
        all.attach(A, 5, 0);
        advance(&mut all, 5, 3);
        all.commit(5, 3);
        assert_eq!(all.release(A, 99, 6, 0), None);
        assert_eq!(advance(&mut all, 6, 1), [], "it has not released W(5)");
        let due = Due { session: A, whole: false, applied_from: 0 };
        assert_eq!(all.release(A, 6, 6, 1), Some(due));
    }

    #[test]
    fn exact_weights_are_sent_once_a_step() {
        let mut all = Subscribers::default();
        assert!(!all.needs_exact(A, 5));
        all.attach(A, 5, 0);
        assert_eq!([5, 5, 6, 6].map(|step| all.needs_exact(A, step)), [true, false, true, false]);
    }
}
