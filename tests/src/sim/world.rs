//! The simulation: one queue of events in virtual time, one thread, one seed.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use lockstep_coordinator::cluster::{Cluster, Input};
use lockstep_coordinator::machine::Save;
use lockstep_coordinator::reducer::Snapshot;
use lockstep_proto::Session;
use lockstep_proto::message::{Explain, Gradient};
use lockstep_worker::arriving::Arriving;
use lockstep_worker::session::{self, Job};

use super::case::Case;
use super::dice::Dice;
use super::faults::Fault;
use super::host::Host;
use super::hub::Hub;
use super::invariants::{Invariants, Verdict};
use super::network::{Link, Network, ToHost, ToHub};
use super::trace::{Failure, Tally, Trace};

#[derive(Clone, Debug)]
pub(super) enum Event {
    ToHub(Link, ToHub),
    ToHost(Link, ToHost),
    /// The connection takes what is most urgent of what waits for this worker.
    Pull(Link),
    /// The coordinator, or the worker, finds that a connection is broken.
    HubNotices(Link),
    HostNotices(Link),
    /// Of this incarnation of this host.
    Host(usize, u32, Errand),
    /// Of this life of the coordinator.
    Hub(u32, Chore),
    WakeHost(usize),
    WakeHub,
    Fault(Fault),
    /// Nothing goes wrong any more.
    Peace,
}

/// What a worker's process does in its own time.
#[derive(Clone, Debug)]
pub(super) enum Errand {
    Connect,
    Heartbeat(Link),
    Open(Link),
    Ready(Link),
    Compute(Link, Job),
    Explain(Link, Explain),
    Evaluate(Link, u64, Arc<Arriving>, Vec<u32>),
    Computed(Link, session::Input),
}

/// What the coordinator's process does in its own time.
#[derive(Clone, Debug)]
pub(super) enum Chore {
    Deadlines,
    Saved(Box<(Save, Snapshot)>),
    Restart,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Duration,
    queue: BTreeMap<(Duration, u64), Event>,
    sequence: u64,
    pub(super) dice: Dice,
    pub(super) case: Arc<Case>,
    pub(super) network: Network,
    pub(super) hosts: Vec<Host>,
    pub(super) hub: Hub,
    pub(super) invariants: Invariants,
    pub(super) trace: Trace,
    pub(super) tally: Tally,
    /// Gradients that were accepted in this life of the coordinator, to be replayed.
    pub(super) accepted: VecDeque<(Session, Gradient)>,
    /// So many of the next gradients are preceded by bad copies.
    pub(super) tamper: u32,
    pub(super) finished: bool,
    /// Of a worker that lies in every step nothing is asked but that it is put out.
    pub(super) lying: bool,
}

/// Simulates one run, which follows from the seed. What happened, or what went wrong.
pub fn simulate(seed: u64) -> Result<Tally, Box<Failure>> {
    live(seed, 60)
}

/// The same, and a failure tells everything from the beginning on.
pub fn replay(seed: u64) -> Result<Tally, Box<Failure>> {
    live(seed, usize::MAX)
}

/// Four workers, of which one flips a bit of every gradient that it computes, with a share of 0.02 audited:
/// in how many steps it did so until it was put out, at most 400. `None`: the others were faster, so that it
/// hardly computed.
pub fn lie(seed: u64) -> Result<Option<Caught>, Box<Failure>> {
    let tally = run(seed, 60, Some("0.02"))?;
    let caught = Caught { lies: tally.of(LIES), put_out: tally.of(PUT_OUT) > 0 };
    Ok(Some(caught).filter(|caught| caught.put_out || caught.lies == MOST_LIES))
}

/// What became of a worker that computes wrong numbers.
#[derive(Clone, Copy, Debug)]
pub struct Caught {
    /// In so many steps it did.
    pub lies: u64,
    /// It was put out then.
    pub put_out: bool,
}

fn live(seed: u64, lines: usize) -> Result<Tally, Box<Failure>> {
    run(seed, lines, None)
}

fn run(seed: u64, lines: usize, lying: Option<&str>) -> Result<Tally, Box<Failure>> {
    let case = Arc::new(Case::new(seed, lying));
    let mut dice = Dice::new(seed, 2);
    let network = Network::new(&mut dice);
    let mut world = World {
        now: Duration::ZERO,
        queue: BTreeMap::new(),
        sequence: 0,
        dice,
        case: case.clone(),
        network,
        hosts: Vec::new(),
        hub: Hub::default(),
        invariants: Invariants::default(),
        trace: Trace::new(lines),
        tally: Tally::default(),
        accepted: VecDeque::new(),
        tamper: 0,
        finished: false,
        lying: lying.is_some(),
    };
    // What a panic would tell is worth little without its seed.
    let caught = catch_unwind(AssertUnwindSafe(|| world.live()));
    let result = caught.unwrap_or_else(|_| Err("something panicked, see above".into()));
    let World { now, trace, tally, .. } = world;
    result.map(|()| tally).map_err(|what| {
        let run = lockstep_core::run::to_toml(&case.run);
        Box::new(Failure { seed, at: now, what, run, trace: trace.to_string() })
    })
}

impl World {
    fn live(&mut self) -> Verdict {
        self.after(Duration::ZERO, Event::Hub(0, Chore::Restart));
        let last = if self.lying { self.plan_liar() } else { self.plan_faults() };
        self.at(last + PEACE, Event::Peace);
        self.invariants.progress.expect_end(last + PEACE, &self.case);
        while !self.finished {
            let Some(((at, _), event)) = self.queue.pop_first() else {
                return Err("nothing is left to happen, and the run has not ended".into());
            };
            self.now = at;
            self.invariants.progress.check(at)?;
            self.dispatch(event)?;
        }
        if self.invariants.audit.spoiled || self.lying { Ok(()) } else { self.finish() }
    }

    pub(super) fn at(&mut self, at: Duration, event: Event) {
        self.sequence += 1;
        self.queue.insert((at.max(self.now), self.sequence), event);
    }

    pub(super) fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Events of a stopped process wait until it goes on.
    pub(super) fn dispatch(&mut self, event: Event) -> Verdict {
        let host = match &event {
            Event::ToHost(link, _) | Event::HostNotices(link) => Some(self.network.get(*link).host),
            Event::Host(host, ..) => Some(*host),
            _ => None,
        };
        if let Some(host) =
            host.and_then(|host| self.hosts.get_mut(host)).filter(|host| host.frozen.is_some())
        {
            host.deferred.push_back(event);
            return Ok(());
        }
        let hubs = matches!(&event, Event::ToHub(..) | Event::HubNotices(_) | Event::Hub(..));
        if hubs && self.hub.paused.is_some() {
            self.hub.deferred.push_back(event);
            return Ok(());
        }
        match event {
            Event::ToHub(link, message) => self.at_hub(link, message),
            Event::ToHost(link, message) => self.at_host(link, message),
            Event::Pull(link) => {
                self.pull(link);
                Ok(())
            }
            Event::HubNotices(link) => self.broken(link, "connection reset"),
            Event::HostNotices(link) => {
                self.drop_link(link);
                Ok(())
            }
            Event::Host(host, incarnation, errand) => self.errand(host, incarnation, errand),
            Event::Hub(life, chore) => self.chore(life, chore),
            Event::WakeHost(host) => self.wake_host(host),
            Event::WakeHub => self.wake_hub(),
            Event::Fault(fault) => self.fault(fault),
            Event::Peace => {
                self.make_peace();
                Ok(())
            }
        }
    }

    fn wake_host(&mut self, host: usize) -> Verdict {
        let Some(sleeper) = self.hosts.get_mut(host) else { return Ok(()) };
        if sleeper.frozen.is_none_or(|until| until > self.now) {
            return Ok(());
        }
        sleeper.frozen = None;
        let deferred = std::mem::take(&mut sleeper.deferred);
        self.note(format_args!("host {host} goes on"));
        deferred.into_iter().try_for_each(|event| self.dispatch(event))
    }

    /// Time in which the coordinator did not run does not count: messages that wait come before deadlines.
    fn wake_hub(&mut self) -> Verdict {
        if self.hub.paused.is_none_or(|until| until > self.now) {
            return Ok(());
        }
        self.hub.paused = None;
        self.note(format_args!("the coordinator goes on"));
        let deferred = std::mem::take(&mut self.hub.deferred);
        let deadline = |event: &Event| matches!(event, Event::Hub(_, Chore::Deadlines));
        let (deadlines, messages): (Vec<_>, Vec<_>) = deferred.into_iter().partition(deadline);
        messages.into_iter().chain(deadlines).try_for_each(|event| self.dispatch(event))
    }

    pub(super) fn note(&mut self, text: std::fmt::Arguments<'_>) {
        self.trace.line(self.now, text);
    }

    /// What must hold when the run has ended well.
    fn finish(&mut self) -> Verdict {
        let Self { case, hub, invariants, tally, .. } = self;
        invariants.rows.finish(case)?;
        invariants.progress.finish(case, hub)?;
        tally.add("steps of finished runs", case.total_steps);
        Ok(())
    }

    /// Hands the coordinator an input and performs what comes out.
    pub(super) fn input(&mut self, input: Input) -> Verdict {
        let now = self.now;
        let Some(cluster) = &mut self.hub.cluster else { return Ok(()) };
        let before = self.invariants.refusals.before(cluster, &self.case, &input);
        let gradient = match &input {
            Input::Tensors(session, lockstep_proto::message::Up::Gradient(gradient)) => {
                Some((*session, gradient.clone()))
            }
            _ => None,
        };
        let refused = refusals(cluster);
        let audited = gradient.as_ref().is_some_and(|(_, of)| cluster.reducer().audits(of.node));
        cluster.handle(now, input);
        self.invariants.refusals.after(cluster, before)?;
        let gradient = gradient.filter(|_| refusals(cluster) == refused);
        self.taken(gradient, audited)?;
        self.outputs()
    }

    /// Books what the coordinator has taken: a gradient that it did not refuse, or what waited until now.
    pub(super) fn taken(&mut self, gradient: Option<(Session, Gradient)>, audited: bool) -> Verdict {
        let Some(cluster) = &self.hub.cluster else { return Ok(()) };
        let session = gradient.as_ref().map(|(session, _)| *session);
        for gradient in self.invariants.audit.taken(cluster, gradient, audited)? {
            self.invariants.rows.accepted(&gradient);
            self.accepted.extend(session.map(|session| (session, gradient)));
            if self.accepted.len() > 64 {
                self.accepted.pop_front();
            }
        }
        if self.invariants.audit.spoiled && !self.lying {
            self.tally.count("a lie was taken for a node that nobody compares any more");
            self.finished = true;
            self.hub.cluster = None;
            return Ok(());
        }
        Ok(())
    }
}

fn refusals(cluster: &Cluster) -> u64 {
    cluster.refused().values().sum()
}

/// How often a liar lies.
pub(super) const MOST_LIES: u64 = 400;
pub(super) const LIES: &str = "injected: a flipped bit";
pub(super) const PUT_OUT: &str = "fault: a worker that computed wrong numbers was put out";

/// After the last fault its effects last no longer than this: nobody is hung before half a minute.
const PEACE: Duration = Duration::from_secs(45);
