//! The thin client: three connections, and the loop that moves messages between them, the session and
//! the compute thread. It decides nothing about the run.

mod ask;
mod connect;
mod dial;
mod join;
mod probe;
mod served;
mod spans;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lockstep_core::threads::Threads;
use lockstep_data::Roots;
use lockstep_proto::message::{Down, FromWorker, Outcome, ToWorker, Up};
use lockstep_proto::wire;
use tokio::sync::mpsc;
use tonic::Streaming;
use tracing::field::Empty;
use tracing::{Instrument, Span, info};

use crate::engine::{self, Order};
use crate::session::{Input, Output, Session};
use crate::view::{Observer, State};
pub use ask::{Asked, NotAsked, stop};
use connect::{Lost, Streams};
pub use dial::{Trouble, Trust};
pub use probe::{Probed, probe};
use spans::Spans;
use waiting::Waiting;

/// How a worker is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port` of the coordinator.
    pub coordinator: String,
    /// By what both know each other.
    pub trust: Trust,
    /// The worker's name: a new session under a name ends the old one.
    pub name: String,
    /// The host, for people.
    pub host: String,
    /// Compute threads.
    pub threads: usize,
    /// How long to wait for a coordinator, at the start and each time it is lost; `None` for ever.
    pub wait: Option<Duration>,
    /// What it may read by itself.
    pub roots: Roots,
    /// Stay under the BLAS kernel that is loaded, even if the run has another. For tests.
    pub keep_kernel: bool,
    /// Where it writes down what can be seen of it.
    pub observer: Arc<Observer>,
    /// Puts a span below the one of another process that a `traceparent` names.
    pub follow: fn(&Span, &str),
}

/// How a worker's work ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The run has ended, so.
    Run(Outcome, String),
    /// The run needs this BLAS kernel: execute again under it.
    OtherKernel(String),
    /// The coordinator does not want this worker.
    Refused(String),
    /// What the command line asks for cannot be, and why.
    Usage(String),
    /// No coordinator in time.
    NoCoordinator,
    /// Asked to stop, here or by the coordinator: it has handed over what it had.
    Stopped,
}

/// Works until the run ends or no coordinator is there for too long. When `stop` resolves it leaves: its
/// shards go to others when the next step begins.
pub async fn run(options: &Options, stop: impl Future<Output = ()>) -> Ended {
    let span = tracing::info_span!("worker", worker = options.name, run = Empty, step = Empty);
    work(options, stop).instrument(span).await
}

async fn work(options: &Options, stop: impl Future<Output = ()>) -> Ended {
    tokio::pin!(stop);
    let _turns = Turns::start(options.observer.clone());
    let mut waiting = Waiting::new(&options.coordinator, options.wait);
    loop {
        options.observer.becomes(State::Connecting);
        let mut asked = false;
        let attempt = attempt(options, &mut waiting, async {
            stop.as_mut().await;
            asked = true;
        });
        let lost = match attempt.await {
            Ok(ended) => return ended,
            // What was asked of it is computed by others.
            Err(_) if asked => return Ended::Stopped,
            Err(Lost::Door(Trouble::Refused(why))) => return Ended::Refused(why),
            Err(Lost::Door(Trouble::Usage(why))) => return Ended::Usage(why),
            Err(lost) => lost,
        };
        let Some(pause) = waiting.pause(&lost) else { return Ended::NoCoordinator };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = &mut stop => return Ended::Stopped,
        }
    }
}

/// One session, from connection to end. When `stop` resolves it ends at the next step's beginning.
async fn attempt(
    options: &Options,
    waiting: &mut Waiting<'_>,
    stop: impl Future<Output = ()>,
) -> Result<Ended, Lost> {
    tokio::pin!(stop);
    let mut connection = tokio::select! {
        connection = connect::control(options) => connection?,
        () = &mut stop => return Ok(Ended::Stopped),
    };
    options.observer.becomes(State::Joining);
    let joined = tokio::select! {
        joined = join::join(options, &mut connection) => match joined? {
            Ok(joined) => joined,
            Err(ended) => return Ok(ended),
        },
        () = &mut stop => return Ok(Ended::Stopped),
    };
    let mut leaving = false;
    waiting.connected();
    let observer = &options.observer;
    observer.change(|view| {
        view.run.clone_from(&joined.task.run.name);
        view.sessions += 1;
    });
    let span = Span::current();
    span.record("run", &joined.task.run.name);
    let mut spans = Spans::new(options, &joined, connection.traceparent());
    let threads = Threads::new(options.threads).map_err(Lost::system)?;
    let (orders, mut computed) =
        engine::start(joined.task.clone(), threads, observer.clone()).map_err(Lost::system)?;
    let task = &joined.task;
    let mut session = Session::new(&task.model, task.chunks.clone(), task.run.cluster.wire, joined.window);
    // The heartbeat beats until it is dropped: a pattern that left it out would stop it here.
    let Streams { mut control, mut tensors, control_out, tensors_out, heartbeat: _heartbeat } =
        connection.open_tensors(&joined).await?;
    loop {
        let input = tokio::select! {
            message = control.message() => match directive(message?)? {
                Directive::Input(input) => input,
                Directive::Joined => {
                    observer.becomes(State::Active);
                    info!("joined the run {} with {} threads", task.run.name, options.threads);
                    continue;
                }
                Directive::Over(over) => return over,
            },
            message = tensors.message() => match message {
                Ok(Some(message)) => Input::Tensors(Down::try_from(message)?),
                Ok(None) => return last_words(&mut control, Lost::Closed).await,
                Err(status) => return last_words(&mut control, status.into()).await,
            },
            input = computed.recv() => input.ok_or(Lost::Compute)??,
            () = &mut stop, if !leaving => {
                info!("leaving the run {} before its next step", task.run.name);
                leaving = true;
                observer.becomes(State::Leaving);
                if control_out.send(FromWorker::Leave.into()).is_err() {
                    return last_words(&mut control, Lost::Closed).await;
                }
                continue;
            }
        };
        if let Input::Tensors(Down::Weights(weights)) = &input {
            observer.down.fetch_add(weights.payload.len() as u64, Relaxed);
        }
        if let Input::Done { .. } | Input::Evaluated(_) = &input {
            spans.done();
        }
        session.handle(input)?;
        while let Some(output) = session.poll_output() {
            let sent = match output {
                Output::Compute(job) => {
                    span.record("step", job.step);
                    spans.compute(job.step, job.nodes.len());
                    orders.send(Order::Compute(job)).is_ok()
                }
                Output::Evaluate { step, weights, pieces } => {
                    spans.evaluate(step, pieces.len());
                    orders.send(Order::Evaluate { weights, pieces }).is_ok()
                }
                Output::Explain(explain, weights) => orders.send(Order::Explain(explain, weights)).is_ok(),
                Output::Control(message) => control_out.send(message.into()).is_ok(),
                Output::Tensors(message) => {
                    if let Up::Gradient(gradient) = &message {
                        observer.up.fetch_add(gradient.payload.len() as u64, Relaxed);
                    }
                    tensors_out.send(message.into()).is_ok()
                }
            };
            if !sent {
                return last_words(&mut control, Lost::Closed).await;
            }
        }
    }
}

/// What a control message asks for.
enum Directive {
    Input(Input),
    Joined,
    Over(Result<Ended, Lost>),
}

fn directive(message: Option<wire::ToWorker>) -> Result<Directive, Lost> {
    Ok(match message.ok_or(Lost::Closed)?.try_into()? {
        ToWorker::Assign(assign) => Directive::Input(Input::Assign(assign)),
        ToWorker::Evaluate(evaluate) => Directive::Input(Input::Evaluate(evaluate)),
        ToWorker::Explain(explain) => Directive::Input(Input::Explain(explain)),
        ToWorker::Accepted => Directive::Joined,
        ToWorker::Leave => Directive::Over(Ok(Ended::Stopped)),
        ToWorker::End(end) => Directive::Over(Ok(Ended::Run(end.outcome, end.text))),
        ToWorker::Refused(refused) if refused.reason.may_return() => {
            Directive::Over(Err(Lost::Refused(refused.text)))
        }
        ToWorker::Refused(refused) => Directive::Over(Ok(Ended::Refused(refused.text))),
        ToWorker::Welcome(_) => Directive::Over(Err(Lost::Closed)),
    })
}

/// The tensor stream has ended; the reason, if there is one, is on its way on the control stream.
async fn last_words(control: &mut Streaming<wire::ToWorker>, lost: Lost) -> Result<Ended, Lost> {
    let listen = async {
        while let Ok(message) = control.message().await {
            if let Directive::Over(over) = directive(message)? {
                return over;
            }
        }
        Err(Lost::Closed)
    };
    tokio::time::timeout(LAST_WORDS, listen).await.unwrap_or(Err(lost))
}

/// How long a reason may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Writes down regularly that the runtime's thread, on which all messages move, turns; until it is dropped.
struct Turns(tokio::task::JoinHandle<()>);

impl Turns {
    fn start(observer: Arc<Observer>) -> Self {
        Self(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                observer.turn();
            }
        }))
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends a sign of life regularly until it is dropped.
struct Heartbeat(tokio::task::JoinHandle<()>);

impl Heartbeat {
    fn start(every: Duration, out: mpsc::UnboundedSender<wire::FromWorker>) -> Self {
        Self(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if out.send(FromWorker::Heartbeat.into()).is_err() {
                    return;
                }
            }
        }))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}
