//! The loop that accepts: nobody who is slow or silent holds up anybody else, and no number of strangers
//! takes what the run needs.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::connection::Connection;
use super::handshake;
use super::refusal::{QUIET, Refusal};
use super::{Door, Teller};
use crate::notice::Notice;

/// Handshakes at once; of more, the oldest of whoever has most is given up.
const HANDSHAKES: usize = 256;

/// Pauses while the system has no descriptors.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Accepts, and gives up what would be too much.
pub(super) struct Porter {
    door: Door,
    teller: Teller,
    inside: mpsc::Sender<io::Result<Connection>>,
    /// Oldest first.
    handshakes: VecDeque<(IpAddr, AbortHandle)>,
    /// Of all connections that may be open: files and connections of the run itself come out of the rest.
    slots: Arc<Semaphore>,
    most_handshakes: usize,
    /// When it was said that descriptors are used up.
    told: Option<Instant>,
}

impl Porter {
    pub(super) fn new(door: Door, teller: Teller, inside: mpsc::Sender<io::Result<Connection>>) -> Self {
        let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        let files = usize::try_from(files).unwrap_or(usize::MAX).min(1 << 20);
        let slots = files - (files / 2).min(128);
        let most_handshakes = HANDSHAKES.min(slots / 2).max(1);
        let slots = Arc::new(Semaphore::new(slots));
        Self { door, teller, inside, handshakes: VecDeque::new(), slots, most_handshakes, told: None }
    }

    /// Until nobody takes connections any more.
    pub(super) async fn run(mut self, listener: TcpListener) {
        let mut pause = PAUSES.0;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.inside.closed() => return,
            };
            match accepted {
                Ok((stream, from)) => {
                    pause = PAUSES.0;
                    self.take(stream, from);
                }
                Err(error) if exhausted(&error) => {
                    self.say(&error);
                    self.give_up_one();
                    tokio::time::sleep(pause).await;
                    pause = (2 * pause).min(PAUSES.1);
                }
                // Of one connection, which is gone.
                Err(_) => {}
            }
        }
    }

    fn say(&mut self, error: &io::Error) {
        if self.told.is_some_and(|told| told.elapsed() < QUIET) {
            return;
        }
        self.told = Some(Instant::now());
        let notice = Notice::Door(format!(
            "no connection can be accepted ({error}); the run goes on with those that are open: raise the limit of \
             open files (ulimit -n) if this stays"
        ));
        let teller = self.teller.clone();
        tokio::spawn(async move { teller.tell(notice).await });
    }

    fn take(&mut self, stream: TcpStream, from: SocketAddr) {
        self.handshakes.retain(|(_, handshake)| !handshake.is_finished());
        if self.handshakes.len() >= self.most_handshakes {
            self.give_up_one();
        }
        let mut slot = self.slots.clone().try_acquire_owned().ok();
        if slot.is_none() {
            // The slot of one that is given up is free a moment later: this one comes in without.
            if !self.give_up_one() {
                refuse(&self.door, &self.teller, Refusal::Crowd, from);
                return;
            }
        }
        let (door, teller, inside, slots) =
            (self.door.clone(), self.teller.clone(), self.inside.clone(), self.slots.clone());
        let handshake = tokio::spawn(async move {
            match handshake::admit(&door, stream, from).await {
                Ok(mut connection) => {
                    connection.slot = slot.take().or_else(|| slots.try_acquire_owned().ok());
                    if connection.slot.is_none() {
                        refuse(&door, &teller, Refusal::Crowd, from);
                        return;
                    }
                    // Without a server, the run has ended.
                    let _ = inside.send(Ok(connection)).await;
                }
                Err(refusal) => refuse(&door, &teller, refusal, from),
            }
        });
        self.handshakes.push_back((from.ip(), handshake.abort_handle()));
    }

    /// Gives up the oldest handshake of the address that has most. An honest one takes milliseconds.
    fn give_up_one(&mut self) -> bool {
        self.handshakes.retain(|(_, handshake)| !handshake.is_finished());
        let mut of: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (address, _) in &self.handshakes {
            *of.entry(*address).or_default() += 1;
        }
        let Some((most, _)) = of.into_iter().max_by_key(|(_, count)| *count) else { return false };
        let Some(oldest) = self.handshakes.iter().position(|(address, _)| *address == most) else {
            return false;
        };
        let Some((address, handshake)) = self.handshakes.remove(oldest) else { return false };
        handshake.abort();
        refuse(&self.door, &self.teller, Refusal::Crowd, SocketAddr::new(address, 0));
        true
    }
}

/// Counts, and tells if it is time to.
fn refuse(door: &Door, teller: &Teller, refusal: Refusal, from: SocketAddr) {
    let Some(times) = door.refused.add(refusal) else { return };
    let (what, why) = (refusal.what(), refusal.to_string());
    let notice = Notice::NotLetIn { what, from: from.ip().to_string(), why, times };
    let teller = teller.clone();
    tokio::spawn(async move { teller.tell(notice).await });
}

/// Whether the system has no descriptor or memory for another connection.
fn exhausted(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM))
}
