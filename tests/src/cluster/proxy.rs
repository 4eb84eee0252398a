//! A link that can be cut, stopped, throttled, and that can flip bits: a TCP proxy between workers and
//! their coordinator.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A proxy on a port of its own, until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    link: Arc<Link>,
}

#[derive(Debug, Default)]
struct Link {
    over: AtomicBool,
    stopped: AtomicBool,
    /// Bytes a second in each direction of each connection; 0: as fast as it goes.
    rate: AtomicU64,
    /// So many of the next gradient chunks are changed.
    lies: AtomicU64,
    streams: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// To a coordinator.
    pub fn new(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let link = Arc::new(Link::default());
        let of = link.clone();
        thread::spawn(move || {
            for here in listener.incoming() {
                if of.over.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(here), Ok(there)) = (here, TcpStream::connect(target)) else { continue };
                of.open(&here, &there);
            }
        });
        Self { address, link }
    }

    /// Where workers connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections. Returns how many there were.
    pub fn cut(&self) -> usize {
        let streams = std::mem::take(&mut *self.link.streams.lock().unwrap());
        streams.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        streams.len() / 2
    }

    /// Nothing passes any more, and nobody is told; or it goes on.
    pub fn stop(&self, stopped: bool) {
        self.link.stopped.store(stopped, Ordering::SeqCst);
    }

    /// Bytes a second in each direction of each connection; 0: as fast as it goes.
    pub fn throttle(&self, rate: u64) {
        self.link.rate.store(rate, Ordering::SeqCst);
    }

    /// Flips a bit of each of so many of the next chunks of gradients.
    pub fn lie(&self, chunks: u64) {
        self.link.lies.store(chunks, Ordering::SeqCst);
    }

    /// How many are still to be changed.
    pub fn lies_left(&self) -> u64 {
        self.link.lies.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.link.over.store(true, Ordering::SeqCst);
        self.cut();
        // The listener's thread looks once more.
        drop(TcpStream::connect(self.address));
    }
}

impl Link {
    fn open(self: &Arc<Self>, here: &TcpStream, there: &TcpStream) {
        // A delayed acknowledgement would be 40 ms a step.
        for stream in [here, there] {
            drop(stream.set_nodelay(true));
        }
        let [Ok(a), Ok(b), Ok(c), Ok(d)] =
            [here.try_clone(), here.try_clone(), there.try_clone(), there.try_clone()]
        else {
            return;
        };
        let (Ok(up), Ok(down)) = (here.try_clone(), there.try_clone()) else { return };
        self.streams.lock().unwrap().extend([a, c]);
        let (link, frames) = (self.clone(), Some(Frames::new()));
        thread::spawn(move || link.pump(up, d, frames));
        let link = self.clone();
        thread::spawn(move || link.pump(down, b, None));
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, mut frames: Option<Frames>) {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let bytes = &mut buffer[..length];
            if let Some(frames) = &mut frames {
                frames.pass(bytes, &self.lies);
            }
            while self.stopped.load(Ordering::SeqCst) && !self.over.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(2));
            }
            let rate = self.rate.load(Ordering::SeqCst);
            if rate > 0 {
                thread::sleep(Duration::from_secs_f64(length as f64 / rate as f64));
            }
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

/// The frames of HTTP/2 that a worker sends. A long one of data holds a chunk of a gradient, and ends with
/// it: all other messages of a worker are short.
#[derive(Debug)]
struct Frames {
    /// Of the connection's preface or of a frame, bytes that are still to come.
    left: usize,
    header: Vec<u8>,
    /// The frame is to be changed this many bytes before its end.
    change: bool,
}

/// A frame with so many bytes of data holds numbers.
const LONG: usize = 200;

impl Frames {
    fn new() -> Self {
        Self { left: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len(), header: Vec::new(), change: false }
    }

    fn pass(&mut self, bytes: &mut [u8], lies: &AtomicU64) {
        for byte in bytes {
            if self.left > 0 {
                // The lowest bit of the last number's mantissa.
                if self.left == 4 && self.change {
                    *byte ^= 1;
                }
                self.left -= 1;
                continue;
            }
            self.header.push(*byte);
            if let [a, b, c, kind, ..] = self.header[..]
                && self.header.len() == 9
            {
                self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                let long = kind == 0 && self.left >= LONG;
                let less = |lies: u64| lies.checked_sub(1);
                self.change = long && lies.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
                self.header.clear();
            }
        }
    }
}
