//! A collector of OpenTelemetry traces: OTLP over HTTP, in protobuf.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message;

/// A span that has come.
#[derive(Clone, Debug)]
pub struct Span {
    /// Such as `step`.
    pub name: String,
    /// Of all spans of a run.
    pub trace: Vec<u8>,
    /// Its own.
    pub id: Vec<u8>,
    /// Of the span that it stands below; empty: it is the first.
    pub parent: Vec<u8>,
    /// Numbers are written out.
    pub attributes: BTreeMap<String, String>,
    /// `service.name`
    pub service: String,
    /// Nanoseconds.
    pub took: u64,
}

/// Takes whatever is sent to it, or connections alone.
#[derive(Clone, Debug)]
pub struct Collector {
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    connections: usize,
    spans: Vec<Span>,
}

impl Collector {
    /// On a free port. One that is silent accepts, and never answers.
    pub fn new(silent: bool) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), silent)
    }

    /// On this listener.
    pub fn on(listener: TcpListener, silent: bool) -> Self {
        let collector = Self { address: listener.local_addr().unwrap(), books: Arc::default() };
        let (own, mut held) = (collector.clone(), Vec::new());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                own.books.lock().unwrap().connections += 1;
                if silent {
                    held.push(stream);
                } else {
                    let own = own.clone();
                    thread::spawn(move || own.serve(&stream));
                }
            }
        });
        collector
    }

    /// As `OTEL_EXPORTER_OTLP_ENDPOINT` names it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.books.lock().unwrap().connections
    }

    /// What has come so far.
    pub fn spans(&self) -> Vec<Span> {
        self.books.lock().unwrap().spans.clone()
    }

    /// Requests, one after the other, until the other side closes.
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            let mut length = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 0) && line != "\r\n" {
                let lower = line.to_ascii_lowercase();
                assert!(!lower.starts_with("post ") || lower.starts_with("post /v1/traces "), "{line}");
                if let Some(text) = lower.strip_prefix("content-length:") {
                    length = text.trim().parse().unwrap();
                }
                line.clear();
            }
            if line.is_empty() {
                return;
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            self.take(ExportTraceServiceRequest::decode(&body[..]).unwrap());
            let mut stream = stream;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    }

    fn take(&self, request: ExportTraceServiceRequest) {
        let mut books = self.books.lock().unwrap();
        for of in request.resource_spans {
            let resource = attributes(of.resource.unwrap_or_default().attributes);
            let service = resource.get("service.name").cloned().unwrap_or_default();
            for span in of.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                books.spans.push(Span {
                    name: span.name,
                    trace: span.trace_id,
                    id: span.span_id,
                    parent: span.parent_span_id,
                    attributes: attributes(span.attributes),
                    service: service.clone(),
                    took: span.end_time_unix_nano - span.start_time_unix_nano,
                });
            }
        }
    }
}

fn attributes(all: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    all.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}
