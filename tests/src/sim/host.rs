//! A worker's process: joins as the real one does, computes with the real arithmetic.
//!
//! ```text
//! Away ──connect──▶ Knocking ──Welcome──▶ Inside: rows load, Open and Ready go out in either order,
//!  ▲                                          │   heartbeats, Session decides, compute::run computes
//!  └────── closed, broken, killed ────────────┘
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use lockstep_core::epoch::Order;
use lockstep_core::gradient::Engine;
use lockstep_core::threads::Threads;
use lockstep_worker::session::Session;

use super::case::Case;
use super::network::Link;
use super::world::Event;

#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) protocol: u32,
    pub(super) fingerprint: [u8; 32],
    pub(super) state: State,
    /// Of the process: what was meant for an earlier one is nobody's.
    pub(super) incarnation: u32,
    /// So many of its next gradients hold a number that is not finite.
    pub(super) feverish: u32,
    /// In so many of its next gradients of audited nodes one bit is wrong.
    pub(super) lies: u32,
    /// How long a shard or a piece takes, in milliseconds at most.
    pub(super) slowness: u64,
    /// Its computing stands still, in this session; its heartbeat does not.
    pub(super) hung: bool,
    /// It wants to go.
    pub(super) leaving: bool,
    /// When its job began.
    pub(super) began: Duration,
    /// Stopped until then; what happens meanwhile waits here.
    pub(super) frozen: Option<Duration>,
    pub(super) deferred: VecDeque<Event>,
    pub(super) order: Order,
    pub(super) engine: Engine<f32>,
}

#[derive(Debug)]
pub(super) enum State {
    /// Not running, or between two attempts.
    Away,
    /// Hello is out.
    Knocking(Link),
    Inside(Link, Box<Session>),
    /// Told not to return, or told that the run has ended.
    Exited,
}

impl Host {
    pub(super) fn new(case: &Case, name: String, slowness: u64) -> Self {
        Self {
            name,
            protocol: lockstep_proto::PROTOCOL,
            fingerprint: [7; 32],
            state: State::Away,
            incarnation: 0,
            feverish: 0,
            lies: 0,
            slowness,
            hung: false,
            leaving: false,
            began: Duration::ZERO,
            frozen: None,
            deferred: VecDeque::new(),
            order: case.order(),
            engine: Engine::new(case.model.clone(), Threads::one()),
        }
    }

    pub(super) fn link(&self) -> Option<Link> {
        match self.state {
            State::Knocking(link) | State::Inside(link, _) => Some(link),
            State::Away | State::Exited => None,
        }
    }
}
