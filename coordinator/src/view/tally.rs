//! What the driver counts besides: it sees everything that goes in and out of the cluster.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lockstep_proto::message::{Outcome, Reason, ToWorker};

use super::{Checkpoints, Nodes, Seconds, Standing, State, View, Worker};
use crate::cluster::{Cluster, Output};
use crate::door;
use crate::driver::Bytes;
use crate::ledger::Refusal;
use crate::machine::{Doing, Seen};
use crate::notice::{Notice, Open};
use crate::progress::Record;
use crate::refusals::REASONS;

/// Speed is that of so many steps.
const STEPS: usize = 32;

/// Counts of one process.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Until then `seconds` are counted.
    counted: Duration,
    seconds: Seconds,
    /// A gradient of the open step has come.
    gradient: bool,
    steps: u64,
    loss: Option<f64>,
    learning_rate: Option<f64>,
    /// Rows and seconds of the last steps.
    recent: VecDeque<(u64, f64)>,
    recomputed: u64,
    refused_workers: BTreeMap<&'static str, u64>,
    checkpoints: Checkpoints,
    saved_at: Option<Duration>,
    end: Option<(Outcome, String)>,
}

impl Tally {
    /// The time until `now` goes to what was done in it.
    pub(crate) fn turn(&mut self, now: Duration, doing: Doing) {
        let seconds = now.saturating_sub(std::mem::replace(&mut self.counted, now)).as_secs_f64();
        let place = match doing {
            Doing::Waiting | Doing::Ended => &mut self.seconds.waiting,
            Doing::Step if self.gradient => &mut self.seconds.reducing,
            Doing::Step => &mut self.seconds.computing,
            Doing::Evaluation => &mut self.seconds.evaluating,
        };
        *place += seconds;
    }

    /// A chunk of a gradient has come.
    pub(crate) fn gradient(&mut self) {
        self.gradient = true;
    }

    /// A checkpoint's write has ended.
    pub(crate) fn saved(&mut self, now: Duration, is_written: bool, took: Duration) {
        let Checkpoints { written, failed, write_seconds, .. } = &mut self.checkpoints;
        *write_seconds += took.as_secs_f64();
        if is_written {
            *written += 1;
            self.saved_at = Some(now);
        } else {
            *failed += 1;
        }
    }

    /// The run has ended.
    pub(crate) fn ended(&mut self, outcome: Outcome, text: &str) {
        self.end = Some((outcome, text.to_owned()));
    }

    /// What the cluster says.
    pub(crate) fn output(&mut self, output: &Output) {
        match output {
            Output::Record(Record::Step(step)) => {
                self.gradient = false;
                self.steps += 1;
                (self.loss, self.learning_rate) = (Some(step.loss), Some(step.lr));
                if self.recent.len() == STEPS {
                    self.recent.pop_front();
                }
                self.recent.push_back((step.rows, step.seconds));
            }
            Output::Record(Record::Skipped { .. }) => {
                self.gradient = false;
                self.steps += 1;
            }
            Output::Notice(Notice::Lost { open: Open::Nodes(nodes), .. }) => {
                self.recomputed += nodes.len() as u64;
            }
            Output::Control(_, ToWorker::Refused(refused)) => {
                *self.refused_workers.entry(name(refused.reason)).or_insert(0) += 1;
            }
            _ => {}
        }
    }

    /// All that can be seen, in the publisher's frame.
    pub(crate) fn view(
        &self,
        frame: View,
        now: Duration,
        cluster: &Cluster,
        bytes: Bytes,
        refused: BTreeMap<&'static str, u64>,
    ) -> View {
        let (machine, progress) = (cluster.machine(), cluster.machine().progress());
        let (rows, seconds) = self
            .recent
            .iter()
            .fold((0, 0.0), |(rows, seconds), (row, second)| (rows + row, seconds + second));
        let messages = REASONS.into_iter().chain(Refusal::ALL.map(Refusal::name));
        let known = messages.chain(door::Refusal::ALL.map(door::Refusal::name)).map(|reason| (reason, 0));
        let mut refused: BTreeMap<String, u64> =
            known.chain(refused).map(|(reason, count)| (reason.to_owned(), count)).collect();
        for (refusal, count) in cluster.refused() {
            *refused.entry(refusal.name().to_owned()).or_insert(0) += count;
        }
        let state = match (&self.end, machine.doing()) {
            (Some((outcome, _)), _) => State::from(*outcome),
            (None, _) if machine.is_stopping() => State::Stopping,
            (None, Doing::Waiting | Doing::Ended) => State::Waiting,
            (None, Doing::Step) => State::Training,
            (None, Doing::Evaluation) => State::Evaluating,
        };
        View {
            state,
            ended: self.end.as_ref().map(|(_, text)| text.clone()).unwrap_or_default(),
            step: progress.step,
            epoch: machine.epoch(),
            loss: self.loss,
            learning_rate: self.learning_rate,
            validation: machine.validation(),
            samples: progress.samples,
            samples_per_second: (seconds > 0.0).then(|| rows as f64 / seconds),
            train_seconds: progress.train_seconds,
            steps_done: self.steps,
            steps_skipped: progress.skipped.len() as u64,
            seconds: self.seconds,
            workers: machine.seen(now).into_iter().map(worker).collect(),
            workers_joined: progress.joined,
            workers_lost: progress.lost,
            bytes: super::Bytes { up: bytes.up, down: bytes.down },
            refused_messages: refused,
            refused_workers: self
                .refused_workers
                .iter()
                .map(|(reason, n)| ((*reason).to_owned(), *n))
                .collect(),
            nodes: Nodes { recomputed: self.recomputed, audited: progress.audit.pairs },
            checkpoints: Checkpoints {
                // The one that was read may have to be written again, and then counts as not saved.
                step: progress.saved_step.or(frame.checkpoints.step),
                age_seconds: self.saved_at.map(|saved| now.saturating_sub(saved).as_secs_f64()),
                ..self.checkpoints
            },
            ..frame
        }
    }
}

fn worker(seen: Seen) -> Worker {
    let Seen { hello, active, late, leaving, threads, shards, nanoseconds, silent } = seen;
    let state = match (active, leaving, late) {
        (false, ..) => Standing::Joining,
        (true, true, _) => Standing::Leaving,
        (true, false, true) => Standing::Late,
        (true, false, false) => Standing::Active,
    };
    Worker {
        name: hello.name,
        host: hello.host,
        cpu: hello.cpu,
        numerics: hello.numerics,
        state,
        threads,
        shards,
        shards_per_second: nanoseconds.filter(|cost| *cost > 0).map(|cost| 1e9 / cost as f64),
        last_seen_seconds: silent.as_secs_f64(),
    }
}

/// A label of metrics.
const fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::Protocol => "protocol",
        Reason::Numerics => "numerics",
        Reason::Replaced => "replaced",
        Reason::Late => "silent",
        Reason::Malformed => "malformed",
        Reason::Ending => "ending",
        Reason::Hung => "hung",
        Reason::Corrupt => "corrupt",
    }
}
