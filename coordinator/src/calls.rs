//! What the service asks of the one task that owns the cluster.

use std::time::Duration;

use lockstep_proto::Session;
use lockstep_proto::message::{FromWorker, Hello, ToWorker, Up};
use tokio::sync::{mpsc, oneshot};

use crate::notice::Notice;
use crate::outbox;

/// A request to the driver.
#[derive(Debug)]
pub(crate) enum Call {
    /// A control stream has opened.
    Hello { hello: Hello, outbox: mpsc::UnboundedSender<ToWorker>, session: oneshot::Sender<Session> },
    /// A tensor stream has opened; answered with whether the session is one of the run's.
    Tensors { session: Session, outbox: outbox::Sender, known: oneshot::Sender<bool> },
    /// Whether the session is one of the run's.
    Knows { session: Session, known: oneshot::Sender<bool> },
    /// On a session's control stream.
    FromWorker(Session, FromWorker),
    /// On a session's tensor stream.
    Up(Session, Up),
    /// The session takes rows.
    Moved(Session),
    /// A stream of the session broke.
    Gone(Session, String),
    /// A checkpoint is on disk, or failed to be.
    Saved { step: u64, result: Result<(), String>, took: Duration },
    /// For the log.
    Notice(Notice),
    /// Rows that the run needs cannot be had.
    Failed(String),
    /// An admin asks the run, or one worker, to end in order.
    Ask { worker: Option<String>, by: String, answer: oneshot::Sender<Result<Asked, NoSuchWorker>> },
    /// A signal.
    Stop,
}

/// What was asked for is on its way.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) run: String,
    /// At hand.
    pub(crate) step: u64,
    /// Workers that go on.
    pub(crate) staying: u32,
}

/// No worker of that name is here; these are.
#[derive(Debug)]
pub(crate) struct NoSuchWorker(pub(crate) Vec<String>);
