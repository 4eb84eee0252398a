//! How long workers take, as measured. It decides who computes what, and never what comes out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lockstep_proto::Session;

/// Beside what is usual: what any system may do to a process without it being slow.
const GRACE: Duration = Duration::from_millis(50);

/// A worker is late after so long where nothing was ever measured.
const UNMEASURED: Duration = Duration::from_secs(10);

/// A worker is hung when nothing moves for so many times the longest time yet seen.
const HUNG: u32 = 8;

/// As often again for a worker that has never done such work: it may be far slower than all others.
const NEW: u32 = 8;

/// Nobody is hung before.
const LEAST_HUNG: Duration = Duration::from_secs(30);

/// A speed is measured over at least so long: a processor's quota comes in slices of a tenth of a second.
const SLICE: Duration = Duration::from_millis(500);

/// Work is counted in units of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Shards of a step.
    Shards,
    /// Pieces of an evaluation.
    Pieces,
}

/// When a worker that is asked for something now is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    pub(super) lasts: Duration,
    pub(super) measured: bool,
}

/// What was measured of all workers.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    speeds: BTreeMap<Session, Speed>,
    shards: Turns,
    pieces: Turns,
    /// The longest pause of anyone who joined.
    joining: Option<Duration>,
}

impl Pace {
    /// A worker computed so many shards in so many microseconds, without any waiting.
    pub(super) fn computed(&mut self, now: Duration, session: Session, shards: u32, micros: u64) {
        self.speeds.entry(session).or_insert_with(|| Speed::new(now)).take(now, shards, micros);
    }

    /// A worker answered what it was asked for, so long ago.
    pub(super) fn answered(&mut self, session: Session, kind: Kind, units: u32, turn: Duration) {
        self.turns_mut(kind).take(session, turn / units.max(1));
    }

    /// Someone who joins was heard of after a pause.
    pub(super) fn joining(&mut self, pause: Duration) {
        self.joining = self.joining.max(Some(pause));
    }

    pub(super) fn forget(&mut self, session: Session) {
        self.speeds.remove(&session);
        self.shards.own.remove(&session);
        self.pieces.own.remove(&session);
    }

    /// What a shard costs this worker, in nanoseconds; where it is not measured, what it costs others,
    /// by their threads.
    pub(super) fn cost(&self, session: Session, threads: &BTreeMap<Session, u32>) -> u64 {
        if let Some(cost) = self.measured(session) {
            return cost;
        }
        let of = |session: &Session| u64::from(threads.get(session).copied().unwrap_or(1).max(1));
        let all =
            self.speeds.iter().filter_map(|(other, speed)| Some(speed.cost()?.saturating_mul(of(other))));
        median(all.collect()).unwrap_or(1_000_000) / of(&session)
    }

    /// What a shard costs this worker, in nanoseconds, where it was measured.
    pub(super) fn measured(&self, session: Session) -> Option<u64> {
        self.speeds.get(&session).and_then(Speed::cost)
    }

    /// How long this worker may take for so much: what it took lately, as a rule, and half as long again
    /// or four times the usual deviation.
    pub(super) fn patience(&self, session: Session, kind: Kind, units: u32) -> Patience {
        let turns = self.turns(kind);
        let window = turns.own.get(&session).unwrap_or(&turns.all);
        let Some((usual, spread)) = window.usual() else {
            return Patience { lasts: UNMEASURED, measured: false };
        };
        let lasts = (usual + (usual / 2).max(spread * 4)) * units + GRACE;
        Patience { lasts, measured: true }
    }

    /// How long nothing may move in so much work; `None`: for ever, because nobody has ever done such
    /// work.
    pub(super) fn limit(&self, session: Session, kind: Kind, units: u32) -> Option<Duration> {
        let turns = self.turns(kind);
        let times = if turns.own.contains_key(&session) { HUNG } else { HUNG * NEW };
        turns.longest.map(|longest| (longest * units.max(1) * times).max(LEAST_HUNG))
    }

    /// The same for whoever joins.
    pub(super) fn joining_limit(&self) -> Option<Duration> {
        self.joining.map(|longest| (longest * HUNG * NEW).max(LEAST_HUNG))
    }

    fn turns(&self, kind: Kind) -> &Turns {
        match kind {
            Kind::Shards => &self.shards,
            Kind::Pieces => &self.pieces,
        }
    }

    fn turns_mut(&mut self, kind: Kind) -> &mut Turns {
        match kind {
            Kind::Shards => &mut self.shards,
            Kind::Pieces => &mut self.pieces,
        }
    }
}

/// From being asked to having answered, for a unit of work.
#[derive(Clone, Debug, Default)]
struct Turns {
    own: BTreeMap<Session, Window>,
    all: Window,
    longest: Option<Duration>,
}

impl Turns {
    fn take(&mut self, session: Session, turn: Duration) {
        self.own.entry(session).or_default().take(turn);
        self.all.take(turn);
        self.longest = self.longest.max(Some(turn));
    }
}

/// The last few times.
#[derive(Clone, Debug, Default)]
struct Window {
    last: VecDeque<Duration>,
}

impl Window {
    fn take(&mut self, turn: Duration) {
        if self.last.len() == 16 {
            self.last.pop_front();
        }
        self.last.push_back(turn);
    }

    /// The median, and the median distance from it.
    fn usual(&self) -> Option<(Duration, Duration)> {
        let usual = median(self.last.iter().copied().collect())?;
        let spread = median(self.last.iter().map(|turn| turn.abs_diff(usual)).collect())?;
        Some((usual, spread))
    }
}

/// What a shard costs a worker: the median of the last few slices of time.
#[derive(Clone, Debug)]
struct Speed {
    costs: VecDeque<u64>,
    began: Duration,
    shards: u64,
    micros: u64,
}

impl Speed {
    fn new(now: Duration) -> Self {
        Self { costs: VecDeque::new(), began: now, shards: 0, micros: 0 }
    }

    fn take(&mut self, now: Duration, shards: u32, micros: u64) {
        self.shards += u64::from(shards);
        self.micros = self.micros.saturating_add(micros);
        if self.shards == 0 || now < self.began + SLICE && !self.costs.is_empty() {
            return;
        }
        if self.costs.len() == 5 {
            self.costs.pop_front();
        }
        self.costs.push_back(self.micros.saturating_mul(1000) / self.shards);
        (self.began, self.shards, self.micros) = (now, 0, 0);
    }

    fn cost(&self) -> Option<u64> {
        median(self.costs.iter().copied().collect())
    }
}

/// The lower one of an even number.
fn median<T: Ord + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Session = Session::new(1, 1);
    const B: Session = Session::new(1, 2);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_cost_is_the_median_of_slices_and_others_are_guessed_by_threads() {
        let threads = BTreeMap::from([(A, 1), (B, 4)]);
        let mut pace = Pace::default();
        assert_eq!((pace.cost(A, &threads), pace.cost(B, &threads)), (1_000_000, 250_000));
        // The first answer counts at once; then half a second is one measurement.
        pace.computed(MS * 10, A, 2, 8000);
        assert_eq!((pace.cost(A, &threads), pace.cost(B, &threads)), (4_000_000, 1_000_000));
        for at in 0..400 {
            pace.computed(MS * (11 + at), A, 1, 1);
        }
        assert_eq!(pace.cost(A, &threads), 4_000_000);
        // One hiccup among five slices is none.
        for (at, micros) in [(600, 2000), (1200, 2000), (1800, 900_000), (2400, 2000)] {
            pace.computed(MS * at, A, 1, micros);
        }
        assert_eq!(pace.cost(A, &threads), 2_000_000);
        pace.forget(A);
        assert_eq!(pace.cost(A, &threads), 1_000_000);
    }

    #[test]
    fn late_is_what_is_unusual() {
        let mut pace = Pace::default();
        let shards = |pace: &Pace, session, units| pace.patience(session, Kind::Shards, units);
        assert_eq!(shards(&pace, A, 3), Patience { lasts: UNMEASURED, measured: false });
        pace.answered(A, Kind::Shards, 2, MS * 200);
        let patience = |lasts| Patience { lasts, measured: true };
        assert_eq!(shards(&pace, A, 3), patience(MS * 450 + GRACE));
        assert_eq!(shards(&pace, B, 1), patience(MS * 150 + GRACE));
        assert!(!pace.patience(A, Kind::Pieces, 1).measured);
        // Those whose time varies much are waited for.
        for turn in [20, 100, 180] {
            pace.answered(B, Kind::Shards, 1, MS * turn);
        }
        assert_eq!(shards(&pace, B, 1), patience(MS * 420 + GRACE));
    }

    #[test]
    fn hung_is_eight_times_the_longest_and_more_for_a_stranger() {
        let mut pace = Pace::default();
        assert_eq!((pace.limit(A, Kind::Shards, 1), pace.joining_limit()), (None, None));
        pace.answered(A, Kind::Shards, 2, MS * 20_000);
        pace.answered(A, Kind::Shards, 2, MS);
        pace.joining(MS * 100);
        assert_eq!(pace.limit(A, Kind::Shards, 3), Some(MS * 240_000));
        assert_eq!(pace.limit(A, Kind::Pieces, 3), None);
        assert_eq!(pace.limit(B, Kind::Shards, 1), Some(MS * 640_000));
        assert_eq!(pace.joining_limit(), Some(LEAST_HUNG));
    }
}
