//! The admin listener's client: one request, one answer, all of it as text.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// An answer's code and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Such as 200; 0 if there was no answer.
    pub code: u16,
    /// All of it.
    pub body: String,
}

/// `GET path`
pub fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: lockstep\r\n\r\n"))
}

/// Sends bytes, and reads until the other side closes.
pub fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    // It may be closed before all is written or read.
    let _ = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Answer { code, body: body.to_owned() }
}

/// A scrape's numbers by name and labels, as they stand in the text.
pub fn samples(metrics: &str) -> BTreeMap<String, f64> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.into(), value.parse().unwrap()))
        .collect()
}
