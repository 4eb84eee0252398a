//! The door: who may open a connection to the coordinator, before anything of gRPC is read.
//!
//! ```text
//!  accept ──▶ handshake, many at once, each with a deadline ──▶ Connection ──▶ tonic
//!                └──▶ Refusal: counted, told
//! ```
//!
//! `accept` owns the listener, `handshake` lets one connection in or not, `living` ends those whose
//! certificate is revoked, `keeper` holds what the files say and reads them again, `who` says what each
//! may ask for.

mod accept;
mod clients;
mod connection;
mod handshake;
mod keeper;
mod living;
mod refusal;
mod who;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lockstep_proto::tls::{FileError, Token};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::calls::Call;
use crate::notice::Notice;
pub(crate) use connection::{Connection, Peer};
use keeper::Keeper;
pub use refusal::{Refusal, Refusals};
pub(crate) use who::{Who, Wish};

/// Who may come in.
#[derive(Clone, Debug)]
pub struct Door {
    /// `None`: plain text, whoever it is.
    keeper: Option<Arc<Keeper>>,
    /// Who comes over plain text.
    plain: Who,
    refused: Refusals,
}

impl Default for Door {
    fn default() -> Self {
        Self { keeper: None, plain: Who::Anyone, refused: Refusals::default() }
    }
}

impl Door {
    /// Workers with a certificate by an authority of `ca.crt` in the folder, by mutual TLS; with a token,
    /// they must have that too.
    ///
    /// # Errors
    /// The folder's files cannot be used.
    pub fn certificates(folder: &Path, token: Option<Token>) -> Result<Self, FileError> {
        let keeper = Keeper::new(folder, keeper::Clients::Certified, token)?;
        Ok(Self { keeper: Some(Arc::new(keeper)), ..Self::default() })
    }

    /// Workers that have the token; they know the coordinator by the fingerprint of its authority, which is
    /// sent with its certificate. An admin has the token, and a certificate by the authority of `ca.crt`.
    ///
    /// # Errors
    /// The folder's files cannot be used.
    pub fn token(folder: &Path, token: Token) -> Result<Self, FileError> {
        let keeper = Keeper::new(folder, keeper::Clients::Anyone, Some(token))?;
        Ok(Self { keeper: Some(Arc::new(keeper)), ..Self::default() })
    }

    /// Connections that were refused, by reason; counts go on.
    pub fn refused(&self) -> Refusals {
        self.refused.clone()
    }

    /// Connections that were let in, until the receiver is dropped. Files are read again every `beat`.
    pub(crate) fn open(
        &self,
        listener: TcpListener,
        calls: mpsc::Sender<Call>,
        beat: Duration,
    ) -> ReceiverStream<std::io::Result<Connection>> {
        let (inside, connections) = mpsc::channel(1);
        // By where it listens: what comes over the loopback may have been passed on from elsewhere.
        let within = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
        let plain = if within { Who::Neighbour } else { Who::Anyone };
        let porter = accept::Porter::new(Self { plain, ..self.clone() }, Teller(calls.clone()), inside);
        tokio::spawn(porter.run(listener));
        if let Some(keeper) = &self.keeper {
            tokio::spawn(keeper.clone().renew(Teller(calls), beat));
        }
        ReceiverStream::new(connections)
    }
}

/// Tells the run's log.
#[derive(Clone, Debug)]
struct Teller(mpsc::Sender<Call>);

impl Teller {
    /// Whether there is still a run.
    async fn tell(&self, notice: Notice) -> bool {
        self.0.send(Call::Notice(notice)).await.is_ok()
    }

    async fn ended(&self) {
        self.0.closed().await;
    }
}
