//! The virtual network: a thread that steps turmoil as fast as time goes by, and never faster, since the
//! processes around it live in real time.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use turmoil::{Builder, Protocol, Segment, Sim};

use super::gateway::{self, COORDINATOR};
use super::link::{Link, Seen, Way};

/// What goes wrong on a worker's link, until it is healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The coordinator hears nothing of the worker.
    Up,
    /// The worker hears nothing of the coordinator.
    Down,
    /// Neither.
    Both,
    /// All that is on its way is lost; what is sent later passes.
    Lose,
    /// Nothing arrives until it is healed; then all of it, at once. It falls when numbers of the worker are on
    /// their way, as far as its moment waits for them.
    Hold,
    /// Each message takes as long as a heartbeat, or less.
    Lag,
}

/// When a fault falls: after so many bytes on the link, or so many milliseconds if less goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Of both directions, from now on.
    pub(crate) bytes: u64,
    /// From now on.
    pub(crate) millis: u32,
}

/// A moment of the network.
const TICK: Duration = Duration::from_millis(1);

/// A message takes at most so long; less by chance.
const LATENCY: Duration = Duration::from_millis(4);

/// A message takes at most so long under [`Fault::Lag`].
const LAG: Duration = Duration::from_millis(400);

/// A message of so many bytes holds numbers.
const LONG: usize = 1000;

/// Gateways for workers, until it is dropped.
#[derive(Debug)]
pub(crate) struct Network {
    links: Vec<(SocketAddr, Link)>,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Strike(usize, Fault, Moment),
    Heal(usize),
}

impl Network {
    /// To a coordinator; the seed draws how long each message takes.
    pub(crate) fn new(seed: u64, coordinator: SocketAddr, workers: usize) -> Self {
        let (mut links, mut gateways) = (Vec::new(), Vec::new());
        for _ in 0..workers {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let link = Link::default();
            links.push((listener.local_addr().unwrap(), link.clone()));
            gateways.push((listener, link));
        }
        let (orders, received) = channel();
        let thread = spawn(move || Running::new(seed, coordinator, &gateways).run(&received));
        Self { links, orders: Some(orders), thread: Some(thread) }
    }

    /// Where a worker connects.
    pub(crate) fn address(&self, worker: usize) -> SocketAddr {
        self.links[worker].0
    }

    /// What was seen of a worker's link.
    pub(crate) fn seen(&self, worker: usize) -> Seen {
        self.links[worker].1.seen()
    }

    /// Has a fault fall, instead of one that has not fallen yet.
    pub(crate) fn strike(&self, worker: usize, fault: Fault, moment: Moment) {
        self.order(Order::Strike(worker, fault, moment));
    }

    /// Ends a worker's fault, also before it fell.
    pub(crate) fn heal(&self, worker: usize) {
        self.order(Order::Heal(worker));
    }

    fn order(&self, order: Order) {
        self.orders.as_ref().and_then(|orders| orders.send(order).ok()).expect("the network goes on");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.orders.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || !matches!(ended, Some(Err(_))), "the network has failed");
    }
}

struct Running {
    sim: Sim<'static>,
    hosts: Vec<Host>,
}

/// A worker's gateway.
struct Host {
    name: String,
    link: Link,
    /// A fault, the bytes after which it falls, and the ticks that are left.
    due: Option<(Fault, u64, u32)>,
    /// One that fell.
    fault: Option<Fault>,
}

impl Running {
    fn new(seed: u64, coordinator: SocketAddr, gateways: &[(TcpListener, Link)]) -> Self {
        let mut builder = Builder::new();
        builder.enable_tokio_io().rng_seed(seed).tick_duration(TICK);
        builder.min_message_latency(Duration::ZERO).max_message_latency(LATENCY);
        let (mut sim, mut hosts) = (builder.build(), Vec::new());
        let links: Vec<Link> = gateways.iter().map(|(_, link)| link.clone()).collect();
        sim.host(COORDINATOR, move || {
            let links = links.clone();
            async move {
                let serve = |(worker, link)| gateway::of_coordinator(worker, coordinator, link);
                let all: Vec<_> =
                    links.into_iter().enumerate().map(serve).map(tokio::task::spawn_local).collect();
                for gateway in all {
                    gateway.await??;
                }
                Ok(())
            }
        });
        for (worker, (listener, link)) in gateways.iter().enumerate() {
            let (name, of) = (format!("worker-{worker}"), link.clone());
            let listener = listener.try_clone().unwrap();
            sim.host(&*name, move || gateway::of_worker(worker, listener.try_clone().unwrap(), of.clone()));
            hosts.push(Host { name, link: link.clone(), due: None, fault: None });
        }
        Self { sim, hosts }
    }

    /// Until nobody can give orders any more.
    fn run(mut self, orders: &Receiver<Order>) {
        let mut next = Instant::now();
        loop {
            match orders.try_recv() {
                Ok(order) => {
                    self.obey(order);
                    continue;
                }
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {}
            }
            for worker in 0..self.hosts.len() {
                self.strike_if_due(worker);
            }
            self.sim.step().expect("gateways go on");
            // Time in which this thread did not run is not made up for.
            next = (next + TICK).max(Instant::now() - TICK);
            sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Strike(worker, fault, Moment { bytes, millis }) => {
                let host = &mut self.hosts[worker];
                let passed: u64 = host.link.seen().passed.iter().sum();
                host.due = Some((fault, passed + bytes, millis));
            }
            Order::Heal(worker) => {
                self.hosts[worker].due = None;
                if let Some(fault) = self.hosts[worker].fault.take() {
                    self.heal(worker, fault);
                }
            }
        }
    }

    fn strike_if_due(&mut self, worker: usize) {
        let Some((fault, bytes, ticks)) = self.hosts[worker].due else { return };
        let passed: u64 = self.hosts[worker].link.books().passed.iter().sum();
        let ready = passed >= bytes && (fault != Fault::Hold || self.numbers_on_their_way(worker));
        let host = &mut self.hosts[worker];
        if !ready && ticks > 0 {
            host.due = Some((fault, bytes, ticks - 1));
            return;
        }
        host.due = None;
        if let Some(before) = host.fault.replace(fault) {
            self.heal(worker, before);
        }
        self.fall(worker, fault);
    }

    fn fall(&self, worker: usize, fault: Fault) {
        let Host { name, link, .. } = &self.hosts[worker];
        let (sim, name) = (&self.sim, &**name);
        let blocked = match fault {
            Fault::Up => [true, false],
            Fault::Down => [false, true],
            Fault::Both | Fault::Lose => [true, true],
            Fault::Hold | Fault::Lag => [false, false],
        };
        let on_their_way = self.on_their_way(worker);
        let mut books = link.books();
        books.faults += 1;
        for (line, way) in on_their_way {
            if blocked[way as usize] {
                books.lost(line, way);
            }
        }
        match fault {
            Fault::Up => sim.partition_oneway(name, COORDINATOR),
            Fault::Down => sim.partition_oneway(COORDINATOR, name),
            Fault::Both => sim.partition(name, COORDINATOR),
            Fault::Lose => {
                sim.partition(name, COORDINATOR);
                return sim.repair(name, COORDINATOR);
            }
            Fault::Hold => sim.hold(name, COORDINATOR),
            Fault::Lag => sim.set_link_max_message_latency(name, COORDINATOR, LAG),
        }
        books.blocked = blocked;
    }

    fn heal(&self, worker: usize, fault: Fault) {
        let Host { name, link, .. } = &self.hosts[worker];
        let (sim, name) = (&self.sim, &**name);
        link.books().blocked = [false; 2];
        match fault {
            Fault::Up | Fault::Down | Fault::Both => sim.repair(name, COORDINATOR),
            Fault::Lose => {}
            Fault::Hold => {
                link.books().held += self.on_their_way(worker).len() as u64;
                sim.release(name, COORDINATOR);
            }
            Fault::Lag => sim.set_link_max_message_latency(name, COORDINATOR, LATENCY),
        }
    }

    /// Whether something is on its way from the worker that is too long to be without numbers.
    fn numbers_on_their_way(&self, worker: usize) -> bool {
        let (of, mut numbers) = (self.sim.lookup(&*self.hosts[worker].name), false);
        self.sim.links(|links| {
            numbers = links.flatten().any(|message| {
                let long = matches!(message.protocol(), Protocol::Tcp(Segment::Data(_, bytes)) if bytes.len() >= LONG);
                long && message.pair().0.ip() == of
            });
        });
        numbers
    }

    /// The messages on a link, by connection.
    fn on_their_way(&self, worker: usize) -> Vec<(SocketAddr, Way)> {
        let of = self.sim.lookup(&*self.hosts[worker].name);
        let mut messages = Vec::new();
        self.sim.links(|links| {
            for message in links.flatten() {
                let (from, to) = message.pair();
                if from.ip() == of {
                    messages.push((from, Way::Up));
                } else if to.ip() == of {
                    messages.push((to, Way::Down));
                }
            }
        });
        messages
    }
}
