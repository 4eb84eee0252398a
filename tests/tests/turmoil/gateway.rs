//! Gateways: real TCP of a process on one side, the virtual network on the other.
//!
//! ```text
//!  worker ──TCP──▶ its gateway ──turmoil──▶ the coordinator's gateway ──TCP──▶ coordinator
//! ```
//!
//! The network has no retransmission, which is the point: a connection of which one message was dropped
//! stays open at both ends and is of no use to either. Nor has it a way back for the answer to a SYN, which
//! would pass a link that lets nothing pass: so the first bytes on each connection are our own handshake.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use turmoil::net::{TcpListener as VirtualListener, TcpStream as VirtualStream};

use super::link::{Link, Way};

/// The host of the coordinator's gateway.
pub(crate) const COORDINATOR: &str = "coordinator";

/// Workers have a port each there.
pub(crate) fn port(worker: usize) -> u16 {
    1 + u16::try_from(worker).unwrap()
}

/// A SYN that is not answered is sent again after so long.
const AGAIN: Duration = Duration::from_millis(500);

/// Stands for SYN-ACK and ACK.
const HANDSHAKE: u8 = 6;

/// Bytes in a message.
const MESSAGE: usize = 16 << 10;

/// A worker's gateway.
pub(crate) async fn of_worker(worker: usize, listener: std::net::TcpListener, link: Link) -> turmoil::Result {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (here, _) = listener.accept().await?;
        let link = link.clone();
        tokio::task::spawn_local(async move {
            here.set_nodelay(true).unwrap();
            if let Some(there) = reach(worker, &here).await {
                let line = there.local_addr().unwrap();
                join(here, there, link, line, Way::Up).await;
            }
        });
    }
}

/// Across, as long as the process wants it.
async fn reach(worker: usize, here: &TcpStream) -> Option<VirtualStream> {
    loop {
        let answered = async {
            let mut there = VirtualStream::connect((COORDINATOR, port(worker))).await?;
            there.read_u8().await?;
            std::io::Result::Ok(there)
        };
        let answered = timeout(AGAIN, answered).await;
        // A process that gave up has an end that answers nothing.
        if here.ready(Interest::READABLE).await.ok()?.is_read_closed() {
            return None;
        }
        match answered {
            Ok(Ok(mut there)) => {
                there.write_u8(HANDSHAKE).await.ok()?;
                return Some(there);
            }
            Ok(Err(_)) => tokio::time::sleep(AGAIN).await,
            Err(_) => {}
        }
    }
}

/// The coordinator's gateway for one worker.
pub(crate) async fn of_coordinator(worker: usize, coordinator: SocketAddr, link: Link) -> turmoil::Result {
    let listener = VirtualListener::bind(("0.0.0.0", port(worker))).await?;
    loop {
        let (mut there, line) = listener.accept().await?;
        let link = link.clone();
        tokio::task::spawn_local(async move {
            let met = async {
                there.write_u8(HANDSHAKE).await?;
                there.read_u8().await
            };
            if !matches!(timeout(2 * AGAIN, met).await, Ok(Ok(HANDSHAKE))) {
                return;
            }
            // Without a coordinator the connection is closed, as if it were refused.
            let Ok(here) = TcpStream::connect(coordinator).await else { return };
            here.set_nodelay(true).unwrap();
            join(here, there, link, line, Way::Down).await;
        });
    }
}

/// Passes bytes on until both sides have ended; `way` leads from `here` to `there`.
async fn join(here: TcpStream, there: VirtualStream, link: Link, line: SocketAddr, way: Way) {
    link.opened(line, way);
    let (from_here, to_here) = here.into_split();
    let (from_there, to_there) = there.into_split();
    tokio::join!(send(from_here, to_there, &link, line, way), receive(from_there, to_here));
}

async fn send(
    mut from: impl AsyncRead + Unpin,
    mut to: OwnedWriteHalf,
    link: &Link,
    line: SocketAddr,
    way: Way,
) {
    let mut buffer = vec![0; MESSAGE];
    'open: while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let mut bytes = &buffer[..length];
        while !bytes.is_empty() {
            let Ok(sent) = to.write(bytes).await else { break 'open };
            link.sent(line, way, sent);
            bytes = &bytes[sent..];
        }
    }
    link.closed(line, way);
    if to.shutdown().await.is_ok() {
        link.sent(line, way, 0);
    }
}

async fn receive(mut from: OwnedReadHalf, mut to: impl AsyncWrite + Unpin) {
    let mut buffer = vec![0; MESSAGE];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
