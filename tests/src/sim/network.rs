//! The virtual network: connections of two streams, each FIFO on its own.
//!
//! ```text
//! host ──control──▶ hub      each direction of each stream has its own random delays, so a message
//!      ◀──control──          may overtake one on another stream, never one on its own
//!      ──tensors──▶
//!      ◀──tensors──
//! ```
//!
//! Weights and grants wait at the coordinator until the connection takes them, the most urgent first. A
//! cut loses what is in flight, and all that follows, in both directions.

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep_coordinator::outbox::Outbox;
use lockstep_proto::Session;
use lockstep_proto::message::{Down, FromWorker, ToWorker, Up};

use super::dice::Dice;

/// One attempt of a host to take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link(pub(super) u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Plane {
    Control,
    Tensors,
}

/// What arrives at the coordinator.
#[derive(Clone, Debug)]
pub(super) enum ToHub {
    Control(FromWorker),
    Tensors(Up),
    Eof(Plane),
}

/// What arrives at a worker.
#[derive(Clone, Debug)]
pub(super) enum ToHost {
    Control(ToWorker),
    Tensors(Down),
    Eof(Plane),
}

impl ToHub {
    fn plane(&self) -> Plane {
        match self {
            Self::Control(_) => Plane::Control,
            Self::Tensors(_) => Plane::Tensors,
            Self::Eof(plane) => *plane,
        }
    }
}

impl ToHost {
    fn plane(&self) -> Plane {
        match self {
            Self::Control(_) => Plane::Control,
            Self::Tensors(_) => Plane::Tensors,
            Self::Eof(plane) => *plane,
        }
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) host: usize,
    /// Of the host's process.
    pub(super) incarnation: u32,
    /// Of the coordinator.
    pub(super) life: u32,
    pub(super) session: Option<Session>,
    /// The worker has dropped it: nobody listens there any more.
    pub(super) host_gone: bool,
    /// The coordinator has: what still comes carries the ended session.
    pub(super) hub_closed: bool,
    /// What the connection has not taken yet.
    pub(super) outbox: Outbox,
    /// Weights of steps on their way to the worker, and exact ones that the connection has not taken.
    pub(super) queued: (usize, usize),
    /// The newest step whose exact weights were sent to it.
    pub(super) exact: u64,
    /// The newest step whose weights were sent to it.
    pub(super) newest: Option<u64>,
    cut: [bool; 2],
    latest_up: [Duration; 2],
    latest_down: [Duration; 2],
}

/// All connections there ever were.
#[derive(Debug)]
pub(super) struct Network {
    connections: BTreeMap<Link, Connection>,
    /// Milliseconds, at least and at most.
    delay: (u64, u64),
}

impl Network {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let delay = dice.pick(&[(0, 2), (0, 20), (1, 10), (0, 200)]).unwrap_or((0, 1));
        Self { connections: BTreeMap::new(), delay }
    }

    pub(super) fn open(&mut self, host: usize, incarnation: u32, life: u32) -> Link {
        let link = Link(self.connections.len() as u32);
        let connection = Connection {
            host,
            incarnation,
            life,
            session: None,
            host_gone: false,
            hub_closed: false,
            outbox: Outbox::default(),
            queued: (0, 0),
            exact: 0,
            newest: None,
            cut: [false; 2],
            latest_up: [Duration::ZERO; 2],
            latest_down: [Duration::ZERO; 2],
        };
        self.connections.insert(link, connection);
        link
    }

    pub(super) fn get(&mut self, link: Link) -> &mut Connection {
        self.connections.entry(link).and_modify(|_| {}).or_insert_with(|| unreachable!("{link:?}"))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Link, &Connection)> {
        self.connections.iter().map(|(link, connection)| (*link, connection))
    }

    pub(super) fn of_session(&self, session: Session) -> Option<Link> {
        self.all().find(|(_, connection)| connection.session == Some(session)).map(|(link, _)| link)
    }

    /// When what is sent now arrives.
    pub(super) fn up(&mut self, now: Duration, link: Link, message: &ToHub, dice: &mut Dice) -> Duration {
        let delay = self.draw(dice);
        let latest = &mut self.get(link).latest_up[message.plane() as usize];
        *latest = (now + delay).max(*latest);
        *latest
    }

    pub(super) fn down(&mut self, now: Duration, link: Link, message: &ToHost, dice: &mut Dice) -> Duration {
        let delay = self.draw(dice);
        let latest = &mut self.get(link).latest_down[message.plane() as usize];
        *latest = (now + delay).max(*latest);
        *latest
    }

    fn draw(&self, dice: &mut Dice) -> Duration {
        let (low, high) = self.delay;
        if dice.chance(3) { dice.millis(low, 10 * high) } else { dice.millis(low, high) }
    }

    pub(super) fn cut(&mut self, link: Link, plane: Plane) {
        self.get(link).cut[plane as usize] = true;
    }

    pub(super) fn loses_up(&mut self, link: Link, message: &ToHub) -> bool {
        self.get(link).cut[message.plane() as usize]
    }

    pub(super) fn loses_down(&mut self, link: Link, message: &ToHost) -> bool {
        self.get(link).cut[message.plane() as usize]
    }
}
