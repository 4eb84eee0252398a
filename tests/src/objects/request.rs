//! A request, as far as it is looked at.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpStream;
use std::ops::Range;

/// Method, path, query and headers; nobody sends a body.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without the first slash, decoded.
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
}

impl Request {
    /// `None` if the connection has ended.
    pub(super) fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let headers = lines.filter_map(|line| line.split_once(':'));
        Some(Self {
            method,
            path: decoded(path.trim_start_matches('/')),
            query: pairs.map(|(key, value)| (key.into(), decoded(value))).collect(),
            headers: headers.map(|(name, value)| (name.to_lowercase(), value.trim().into())).collect(),
        })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(super) fn listing(&self) -> bool {
        self.query.contains_key("list-type")
    }

    /// The bytes that are asked for, of so many.
    pub(super) fn range(&self, length: usize) -> Option<Range<usize>> {
        let (start, end) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        let end = end.parse::<usize>().map_or(length, |last| length.min(last + 1));
        let start = start.parse().ok()?;
        (start < end).then_some(start..end)
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}
