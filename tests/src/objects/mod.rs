//! A small object store: HTTP and as much of S3 as reading needs, on a loopback port, with faults.
//!
//! `/bucket/key` answers GET (with a range) and HEAD; `/bucket?list-type=2` lists. Buckets want the access
//! key [`KEY`], but for `web`, which is open to all. A fault is what happens to the n-th request for an
//! object.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a harness fails by panicking")]

mod answer;
mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use answer::Answer;
use request::Request;

/// The access key of those who may read.
pub const KEY: &str = "reader";

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is answered.
    None,
    /// Status 500.
    Error,
    /// Status 503 with S3's words for it.
    SlowDown,
    /// The connection ends without an answer.
    Reset,
    /// The body ends in its middle.
    Truncated,
    /// The body comes a bit at a time.
    Slow,
    /// Half of the body, then nothing more, for a second and a half.
    Silent,
}

/// Which fault the n-th request for an object meets, from 0.
pub type Faults = fn(u64) -> Fault;

/// A running store; it ends when it is dropped.
#[derive(Debug)]
pub struct Store {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// By `bucket/key`.
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    faults: Faults,
    requests: AtomicU64,
    bytes: AtomicU64,
    fired: Mutex<BTreeSet<Fault>>,
    ended: AtomicBool,
}

impl Store {
    /// Starts one.
    pub fn start(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            objects: Mutex::default(),
            faults,
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            fired: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let accepting = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::Relaxed) {
                    break;
                }
                let state = accepting.clone();
                thread::spawn(move || state.serve(stream));
            }
        });
        Self { address, state }
    }

    /// Keeps an object; the name is `bucket/key`.
    pub fn put(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.state.objects.lock().unwrap().insert(name.into(), bytes.into());
    }

    /// The URL of an object on a web server.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// The variables with which a program finds it as S3.
    pub fn variables(&self) -> [(&'static str, String); 6] {
        [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ACCESS_KEY_ID", KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", "secret".into()),
            ("AWS_READ_TIMEOUT", "1 second".into()),
        ]
    }

    /// Requests for objects, and bytes of bodies, since this was last asked.
    pub fn counts(&self) -> (u64, u64) {
        let State { requests, bytes, .. } = &*self.state;
        (requests.swap(0, Ordering::Relaxed), bytes.swap(0, Ordering::Relaxed))
    }

    /// The faults that have happened.
    pub fn fired(&self) -> Vec<Fault> {
        self.state.fired.lock().unwrap().iter().copied().collect()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl State {
    /// One connection, to its end.
    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        while let Some(request) = Request::read(&mut stream) {
            let answer = Answer::to(&request, &self.objects.lock().unwrap());
            let fault = match request.listing() {
                true => Fault::None,
                false => (self.faults)(self.requests.fetch_add(1, Ordering::Relaxed)),
            };
            self.fired.lock().unwrap().insert(fault);
            if self.send(&mut stream, &request, answer, fault).is_none() {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }

    /// `None` if the connection has ended by it.
    fn send(&self, stream: &mut TcpStream, request: &Request, answer: Answer, fault: Fault) -> Option<()> {
        let answer = match fault {
            Fault::Reset => return None,
            Fault::Error => Answer::error(500, "InternalError"),
            Fault::SlowDown => Answer::error(503, "SlowDown"),
            _ => answer,
        };
        let body = if request.method == "HEAD" { &[][..] } else { &answer.body };
        stream.write_all(answer.head().as_bytes()).ok()?;
        let (first, rest) = body.split_at(body.len() / 2);
        self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        match fault {
            Fault::Truncated if !body.is_empty() => {
                stream.write_all(first).ok()?;
                None
            }
            Fault::Silent if !body.is_empty() => {
                stream.write_all(first).ok()?;
                thread::sleep(Duration::from_millis(1500));
                None
            }
            Fault::Slow => {
                for piece in body.chunks(body.len() / 20 + 1) {
                    stream.write_all(piece).ok()?;
                    thread::sleep(Duration::from_millis(2));
                }
                Some(())
            }
            _ => stream.write_all(first).and_then(|()| stream.write_all(rest)).ok(),
        }
    }
}
