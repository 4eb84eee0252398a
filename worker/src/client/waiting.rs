//! How long there has been no coordinator, and when to try again.

use std::time::{Duration, Instant};

use tracing::warn;

use super::connect::Lost;

/// Between sessions. Time in a session is not time without a coordinator, however long it was.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    coordinator: &'a str,
    most: Option<Duration>,
    /// None in a session.
    since: Option<Instant>,
    told: Option<Instant>,
    tries: u32,
}

impl<'a> Waiting<'a> {
    /// For so long at most; `None`: for ever.
    pub(super) fn new(coordinator: &'a str, most: Option<Duration>) -> Self {
        Self { coordinator, most, since: Some(Instant::now()), told: None, tries: 0 }
    }

    pub(super) fn connected(&mut self) {
        self.since = None;
        self.told = None;
        self.tries = 0;
    }

    /// The pause before the next try, with jitter so that workers do not come all at once; `None` when
    /// the time is up.
    pub(super) fn pause(&mut self, lost: &Lost) -> Option<Duration> {
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        if self.most.is_some_and(|most| waited >= most) {
            return None;
        }
        if self.told.is_none_or(|told| told.elapsed() >= Duration::from_secs(60)) {
            self.told = Some(Instant::now());
            let limit = match self.most {
                Some(most) => format!("{} s at most", most.as_secs()),
                None => "for ever".into(),
            };
            let coordinator = self.coordinator;
            warn!("no coordinator at {coordinator} ({lost}); waiting since {} s, {limit}", waited.as_secs());
        }
        let base = Duration::from_millis(50 << self.tries.min(5));
        self.tries += 1;
        let jitter = f64::from(std::process::id().wrapping_mul(2_654_435_761) % 1000) / 1000.0;
        Some(base.mul_f64(0.75 + jitter / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn ago(time: Duration) -> Instant {
        Instant::now().checked_sub(time).unwrap()
    }

    #[test]
    fn a_long_session_is_no_long_wait() {
        let mut waiting = Waiting::new("a:1", Some(HOUR));
        waiting.since = Some(ago(HOUR));
        assert_eq!(waiting.pause(&Lost::Closed), None);
        waiting.connected();
        assert!(waiting.since.is_none(), "an hour of work is none of waiting");
        assert!(waiting.pause(&Lost::Closed).is_some());
        waiting.since = waiting.since.map(|since| since.checked_sub(HOUR).unwrap());
        assert_eq!(waiting.pause(&Lost::Closed), None);
    }

    #[test]
    fn pauses_grow_until_a_session_begins() {
        let mut waiting = Waiting::new("a:1", None);
        let pauses: Vec<_> = (0..8).filter_map(|_| waiting.pause(&Lost::Closed)).collect();
        assert!(pauses.is_sorted() && pauses[5] == 32 * pauses[0] && pauses[7] == pauses[5]);
        waiting.connected();
        assert_eq!(waiting.pause(&Lost::Closed), Some(pauses[0]));
    }
}
