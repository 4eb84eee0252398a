//! The HTTP listener: a thread of its own, on which nothing else depends.
//!
//! Whoever reaches it may be hostile: connections, requests, their size, their time and their rate are
//! bounded, so that it costs a few percent of one core and a few hundred KiB at most.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::Subject;

/// Open connections; the oldest is closed for the next, so that those who dawdle keep out nobody.
const CONNECTIONS: usize = 32;

/// From accept to close. One request a connection.
const CONNECTION: Duration = Duration::from_secs(5);

/// Between two connections.
const PACE: Duration = Duration::from_millis(5);

/// A request's line and headers.
const REQUEST: usize = 8 << 10;

/// Starts the thread. It ends with the process.
pub(super) fn start(listener: TcpListener, subject: impl Subject) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("admin".into()).spawn(move || {
        runtime.block_on(async {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => serve(listener, subject).await,
                Err(error) => tracing::warn!("the admin listener has ended: {error}"),
            }
        });
    })?;
    Ok(())
}

async fn serve(listener: tokio::net::TcpListener, subject: impl Subject) {
    let subject = Arc::new(subject);
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            open.retain(|connection| !connection.is_finished());
            if open.len() >= CONNECTIONS
                && let Some(oldest) = open.pop_front()
            {
                oldest.abort();
            }
            let answered = tokio::time::timeout(CONNECTION, answer(stream, subject.clone()));
            open.push_back(tokio::spawn(answered).abort_handle());
        }
        // Also where there was an error: without descriptors, the next accept would fail at once.
        tokio::time::sleep(PACE).await;
    }
}

async fn answer(stream: TcpStream, subject: Arc<impl Subject>) {
    let service = service_fn(|request: Request<Incoming>| {
        std::future::ready(Ok::<_, Infallible>(respond(&request, &*subject)))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION)
        .max_buf_size(REQUEST)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A caller that has gone, or speaks no HTTP, is told nothing more.
    let _ = connection.await;
}

fn respond<B>(request: &Request<B>, subject: &impl Subject) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET: this address changes nothing\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let verdict = |verdict: Result<(), String>| match verdict {
        Ok(()) => text(StatusCode::OK, "ok\n"),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    };
    match request.uri().path() {
        "/livez" => verdict(subject.live()),
        "/readyz" => verdict(subject.ready()),
        "/metrics" => typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", subject.metrics()),
        "/status" => match serde_json::to_string_pretty(&subject.status()) {
            Ok(json) => typed(StatusCode::OK, "application/json", json + "\n"),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz, /metrics and /status\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
