//! Asks an admin listener for its status.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Status;

/// The port where none is named.
const PORT: &str = "29501";

/// For an answer, all of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes: thousands of workers fit.
const LONGEST: usize = 16 << 20;

/// `HOST:PORT` of what a person writes: the port may be left out, and `http://` may stand before.
pub fn address(text: &str) -> String {
    let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    // An IPv6 address has colons of its own, and stands in brackets if a port follows.
    let has_port = text.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    match (has_port, text.contains(':') && !text.starts_with('[')) {
        (true, _) => text.to_owned(),
        (false, true) => format!("[{text}]:{PORT}"),
        (false, false) => format!("{text}:{PORT}"),
    }
}

/// Asks once.
///
/// # Errors
/// Nobody answers there, or something that is not Lockstep.
pub async fn status(address: &str) -> Result<Status, String> {
    let (code, bytes) = ask(address, "/status").await?;
    if code != StatusCode::OK {
        return Err(format!("it answers {code}"));
    }
    serde_json::from_slice(&bytes).map_err(|error| format!("it answers, but not as lockstep does: {error}"))
}

/// Asks whether the process lives, which its status does not tell: the thread that answers works on when all
/// others hang.
///
/// # Errors
/// It does not, in its own words; or nobody answers there.
pub async fn live(address: &str) -> Result<(), String> {
    let (code, bytes) = ask(address, "/livez").await?;
    match code {
        StatusCode::OK => Ok(()),
        _ => Err(String::from_utf8_lossy(&bytes).trim_end().to_owned()),
    }
}

async fn ask(address: &str, path: &str) -> Result<(StatusCode, Bytes), String> {
    let asked = tokio::time::timeout(PATIENCE, answer(address, path));
    asked.await.unwrap_or_else(|_| Err("it does not answer".into()))
}

async fn answer(address: &str, path: &str) -> Result<(StatusCode, Bytes), String> {
    let stream = TcpStream::connect(address).await.map_err(text)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    // It ends with the request.
    tokio::spawn(connection);
    let request = Request::get(path).header(HOST, address).body(Empty::<Bytes>::new()).map_err(text)?;
    let response = sender.send_request(request).await.map_err(text)?;
    let code = response.status();
    Ok((code, Limited::new(response.into_body(), LONGEST).collect().await.map_err(text)?.to_bytes()))
}

fn text(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn people_write_addresses_in_several_ways() {
        for (written, meant) in [
            ("here", "here:29501"),
            ("here:7", "here:7"),
            ("http://here:7/", "here:7"),
            ("127.0.0.1", "127.0.0.1:29501"),
            ("::1", "[::1]:29501"),
            ("[::1]", "[::1]:29501"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(address(written), meant);
        }
    }
}
