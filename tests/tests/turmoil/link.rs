//! What is known of the link between one worker and the coordinator: what passed, what did not, and
//! which connections cannot live any more.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the worker.
    Up,
    /// To the worker.
    Down,
}

/// Shared by the gateways of both ends, the network's thread and the test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link(Arc<Mutex<Seen>>);

/// What was seen of a link. Pairs are of up and down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Nothing passes now.
    pub(crate) blocked: [bool; 2],
    /// Bytes that were sent while they could pass.
    pub(crate) passed: [u64; 2],
    /// Messages that were sent while nothing could pass, or were on their way when that began.
    pub(crate) dropped: [u64; 2],
    /// Messages that were held, and came together.
    pub(crate) held: u64,
    /// Faults that fell.
    pub(crate) faults: u64,
    /// Connections, by the worker's end.
    pub(crate) lines: BTreeMap<SocketAddr, Line>,
}

/// A connection across the link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// Something was dropped: nothing that was sent after it arrives, ever.
    pub(crate) dead: bool,
    /// The worker's process does not have it open, nor the coordinator's.
    pub(crate) closed: [bool; 2],
}

impl Seen {
    /// Connections that cannot live any more.
    pub(crate) fn dead(&self) -> usize {
        self.lines.values().filter(|line| line.dead).count()
    }

    /// Those that one of the processes still believes in.
    pub(crate) fn believed(&self) -> usize {
        self.lines.values().filter(|line| line.dead && line.closed.contains(&false)).count()
    }
}

impl Link {
    pub(crate) fn books(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap()
    }

    pub(crate) fn seen(&self) -> Seen {
        self.books().clone()
    }

    /// The process at which this way begins has a connection.
    pub(crate) fn opened(&self, line: SocketAddr, way: Way) {
        let nobody = Line { dead: false, closed: [true; 2] };
        self.books().lines.entry(line).or_insert(nobody).closed[way as usize] = false;
    }

    /// A message of so many bytes was sent on a connection; 0: its end.
    pub(crate) fn sent(&self, line: SocketAddr, way: Way, bytes: usize) {
        let mut books = self.books();
        if books.blocked[way as usize] {
            books.lost(line, way);
        } else {
            books.passed[way as usize] += bytes as u64;
        }
    }

    /// The process at which this way begins has closed a connection.
    pub(crate) fn closed(&self, line: SocketAddr, way: Way) {
        if let Some(line) = self.books().lines.get_mut(&line) {
            line.closed[way as usize] = true;
        }
    }
}

impl Seen {
    /// A message of a connection was dropped.
    pub(crate) fn lost(&mut self, line: SocketAddr, way: Way) {
        self.dropped[way as usize] += 1;
        if let Some(line) = self.lines.get_mut(&line) {
            line.dead = true;
        }
    }
}
