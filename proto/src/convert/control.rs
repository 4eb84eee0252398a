//! Control messages.

use lockstep_core::metrics::Sums;
use lockstep_core::tree::Node;

use super::Malformed;
use crate::message::{
    Assign, Computed, End, Evaluate, Evaluated, Explain, Explained, Found, FromWorker, Hello, Outcome, Ready,
    Reason, Refused, ToWorker, Welcome,
};
use crate::wire::{self, from_worker, to_worker};
use crate::{Generation, Session};

impl From<FromWorker> for wire::FromWorker {
    fn from(message: FromWorker) -> Self {
        use from_worker::Message;
        let message = match message {
            FromWorker::Hello(Hello { protocol, name, host, pid, numerics, cpu }) => {
                Message::Hello(wire::Hello { protocol, name, host, pid, numerics, cpu })
            }
            FromWorker::Ready(Ready { fingerprint, threads }) => {
                Message::Ready(wire::Ready { fingerprint: fingerprint.to_vec().into(), threads })
            }
            FromWorker::Heartbeat => Message::Heartbeat(wire::Heartbeat {}),
            FromWorker::Evaluated(Evaluated { step, pieces }) => Message::Evaluated(wire::Evaluated {
                step,
                pieces: pieces.into_iter().map(piece_to_wire).collect(),
            }),
            FromWorker::Computed(Computed { generation, step, shards, micros }) => {
                Message::Computed(wire::Computed { generation: generation.to_u64(), step, shards, micros })
            }
            FromWorker::Leave => Message::Leave(wire::Leave {}),
            FromWorker::Explained(explained) => Message::Explained(explained_to_wire(explained)),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<wire::FromWorker> for FromWorker {
    type Error = Malformed;
    fn try_from(message: wire::FromWorker) -> Result<Self, Malformed> {
        use from_worker::Message;
        Ok(match message.message.ok_or(Malformed("an empty control message"))? {
            Message::Hello(wire::Hello { protocol, name, host, pid, numerics, cpu }) => {
                Self::Hello(Hello { protocol, name, host, pid, numerics, cpu })
            }
            Message::Ready(wire::Ready { fingerprint, threads }) => Self::Ready(Ready {
                fingerprint: fingerprint
                    .as_ref()
                    .try_into()
                    .map_err(|_| Malformed("a fingerprint has 32 bytes"))?,
                threads,
            }),
            Message::Heartbeat(wire::Heartbeat {}) => Self::Heartbeat,
            Message::Evaluated(wire::Evaluated { step, pieces }) => {
                Self::Evaluated(Evaluated { step, pieces: pieces.into_iter().map(piece_from_wire).collect() })
            }
            Message::Computed(wire::Computed { generation, step, shards, micros }) => {
                let generation = Generation::from_u64(generation);
                Self::Computed(Computed { generation, step, shards, micros })
            }
            Message::Leave(wire::Leave {}) => Self::Leave,
            Message::Explained(explained) => Self::Explained(explained_from_wire(explained)?),
        })
    }
}

fn explained_to_wire(Explained { of, found }: Explained) -> wire::Explained {
    let (step, node) = (of.step, Some(of.node.into()));
    match found {
        Some(Found { shard, row, place }) => wire::Explained { step, node, found: true, shard, row, place },
        None => wire::Explained { step, node, ..wire::Explained::default() },
    }
}

fn explained_from_wire(explained: wire::Explained) -> Result<Explained, Malformed> {
    let wire::Explained { step, node, found, shard, row, place } = explained;
    if place.len() > LONGEST_PLACE {
        return Err(Malformed("a place is too long"));
    }
    let node = node.ok_or(Malformed("a node is missing"))?.try_into()?;
    Ok(Explained { of: Explain { step, node }, found: found.then_some(Found { shard, row, place }) })
}

/// Bytes: a layer's name and some words.
const LONGEST_PLACE: usize = 1 << 12;

fn piece_to_wire((piece, sums): (u32, Sums)) -> wire::PieceSums {
    let Sums { rows, weight, loss, correct, absolute_error, squared_error, target, target_squared } = sums;
    wire::PieceSums {
        piece,
        rows,
        weight,
        loss,
        correct,
        absolute_error,
        squared_error,
        target,
        target_squared,
    }
}

fn piece_from_wire(sums: wire::PieceSums) -> (u32, Sums) {
    let wire::PieceSums {
        piece,
        rows,
        weight,
        loss,
        correct,
        absolute_error,
        squared_error,
        target,
        target_squared,
    } = sums;
    (piece, Sums { rows, weight, loss, correct, absolute_error, squared_error, target, target_squared })
}

impl From<ToWorker> for wire::ToWorker {
    fn from(message: ToWorker) -> Self {
        use to_worker::Message;
        let message = match message {
            ToWorker::Welcome(Welcome { session, run, train, validation, kernel, window, blocks }) => {
                Message::Welcome(wire::Welcome {
                    session: session.to_u64(),
                    run,
                    train,
                    validation: validation.unwrap_or_default(),
                    kernel,
                    window,
                    blocks,
                })
            }
            ToWorker::Refused(Refused { reason, text }) => {
                Message::Refused(wire::Refused { reason: reason_to_wire(reason).into(), text })
            }
            ToWorker::Accepted => Message::Accepted(wire::Accepted {}),
            ToWorker::Assign(Assign { generation, step, nodes }) => Message::Assign(wire::Assign {
                generation: generation.to_u64(),
                step,
                nodes: nodes.into_iter().map(Into::into).collect(),
            }),
            ToWorker::Evaluate(Evaluate { generation, step, pieces }) => {
                Message::Evaluate(wire::Evaluate { generation: generation.to_u64(), step, pieces })
            }
            ToWorker::Explain(Explain { step, node }) => {
                Message::Explain(wire::Explain { step, node: Some(node.into()) })
            }
            ToWorker::End(End { outcome, text }) => {
                Message::End(wire::End { outcome: outcome_to_wire(outcome).into(), text })
            }
            ToWorker::Leave => Message::Leave(wire::Leave {}),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<wire::ToWorker> for ToWorker {
    type Error = Malformed;
    fn try_from(message: wire::ToWorker) -> Result<Self, Malformed> {
        use to_worker::Message;
        Ok(match message.message.ok_or(Malformed("an empty control message"))? {
            Message::Welcome(wire::Welcome { session, run, train, validation, kernel, window, blocks }) => {
                Self::Welcome(Welcome {
                    session: Session::from_u64(session),
                    run,
                    train,
                    validation: Some(validation).filter(|text| !text.is_empty()),
                    kernel,
                    window,
                    blocks,
                })
            }
            Message::Refused(refused) => {
                Self::Refused(Refused { reason: reason_from_wire(refused.reason())?, text: refused.text })
            }
            Message::Accepted(wire::Accepted {}) => Self::Accepted,
            Message::Assign(wire::Assign { generation, step, nodes }) => Self::Assign(Assign {
                generation: Generation::from_u64(generation),
                step,
                nodes: nodes.into_iter().map(Node::try_from).collect::<Result<_, _>>()?,
            }),
            Message::Evaluate(wire::Evaluate { generation, step, pieces }) => {
                Self::Evaluate(Evaluate { generation: Generation::from_u64(generation), step, pieces })
            }
            Message::Explain(wire::Explain { step, node }) => {
                let node = node.ok_or(Malformed("a node is missing"))?.try_into()?;
                Self::Explain(Explain { step, node })
            }
            Message::End(end) => {
                Self::End(End { outcome: outcome_from_wire(end.outcome())?, text: end.text })
            }
            Message::Leave(wire::Leave {}) => Self::Leave,
        })
    }
}

fn reason_to_wire(reason: Reason) -> wire::refused::Reason {
    use wire::refused::Reason as Wire;
    match reason {
        Reason::Protocol => Wire::Protocol,
        Reason::Numerics => Wire::Numerics,
        Reason::Replaced => Wire::Replaced,
        Reason::Late => Wire::Late,
        Reason::Malformed => Wire::Malformed,
        Reason::Ending => Wire::Ending,
        Reason::Hung => Wire::Hung,
        Reason::Corrupt => Wire::Corrupt,
    }
}

fn reason_from_wire(reason: wire::refused::Reason) -> Result<Reason, Malformed> {
    use wire::refused::Reason as Wire;
    Ok(match reason {
        Wire::Protocol => Reason::Protocol,
        Wire::Numerics => Reason::Numerics,
        Wire::Replaced => Reason::Replaced,
        Wire::Late => Reason::Late,
        Wire::Malformed => Reason::Malformed,
        Wire::Ending => Reason::Ending,
        Wire::Hung => Reason::Hung,
        Wire::Corrupt => Reason::Corrupt,
        Wire::Unspecified => return Err(Malformed("a refusal without a reason")),
    })
}

fn outcome_to_wire(outcome: Outcome) -> wire::end::Outcome {
    use wire::end::Outcome as Wire;
    match outcome {
        Outcome::Finished => Wire::Finished,
        Outcome::Stopped => Wire::Stopped,
        Outcome::Failed => Wire::Failed,
    }
}

fn outcome_from_wire(outcome: wire::end::Outcome) -> Result<Outcome, Malformed> {
    use wire::end::Outcome as Wire;
    Ok(match outcome {
        Wire::Finished => Outcome::Finished,
        Wire::Stopped => Outcome::Stopped,
        Wire::Failed => Outcome::Failed,
        Wire::Unspecified => return Err(Malformed("an end without an outcome")),
    })
}
