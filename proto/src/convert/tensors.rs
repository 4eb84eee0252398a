//! Tensor and row messages.

use lockstep_core::gradient::Summary;

use super::Malformed;
use crate::message::{Dataset, Down, Gradient, RowsRequest, Up, Weights};
use crate::wire::{self, tensors_down, tensors_up};
use crate::{Generation, Session};

impl From<Up> for wire::TensorsUp {
    fn from(message: Up) -> Self {
        use tensors_up::Message;
        let message = match message {
            Up::Open(session) => Message::Open(wire::Open { session: session.to_u64() }),
            Up::Gradient(Gradient { generation, step, node, chunk, summary, payload }) => {
                Message::Gradient(wire::Gradient {
                    generation: generation.to_u64(),
                    step,
                    node: Some(node.into()),
                    chunk,
                    loss: summary.loss,
                    weight: summary.weight,
                    rows: summary.rows,
                    payload,
                })
            }
            Up::Release(step) => Message::Release(wire::Release { step }),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<wire::TensorsUp> for Up {
    type Error = Malformed;
    fn try_from(message: wire::TensorsUp) -> Result<Self, Malformed> {
        use tensors_up::Message;
        Ok(match message.message.ok_or(Malformed("an empty tensor message"))? {
            Message::Open(wire::Open { session }) => Self::Open(Session::from_u64(session)),
            Message::Gradient(wire::Gradient {
                generation,
                step,
                node,
                chunk,
                loss,
                weight,
                rows,
                payload,
            }) => Self::Gradient(Gradient {
                generation: Generation::from_u64(generation),
                step,
                node: node.ok_or(Malformed("a gradient without a node"))?.try_into()?,
                chunk,
                summary: Summary { loss, weight, rows },
                payload,
            }),
            Message::Release(wire::Release { step }) => Self::Release(step),
        })
    }
}

impl From<Down> for wire::TensorsDown {
    fn from(message: Down) -> Self {
        use tensors_down::Message;
        let message = match message {
            Down::Weights(Weights { step, chunk, exact, payload }) => {
                Message::Weights(wire::Weights { step, chunk, exact, payload })
            }
            Down::Grant { step, chunks } => Message::Grant(wire::Grant { step, chunks }),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<wire::TensorsDown> for Down {
    type Error = Malformed;
    fn try_from(message: wire::TensorsDown) -> Result<Self, Malformed> {
        use tensors_down::Message;
        Ok(match message.message.ok_or(Malformed("an empty tensor message"))? {
            Message::Weights(wire::Weights { step, chunk, exact, payload }) => {
                Self::Weights(Weights { step, chunk, exact, payload })
            }
            Message::Grant(wire::Grant { step, chunks }) => Self::Grant { step, chunks },
        })
    }
}

impl From<RowsRequest> for wire::RowsRequest {
    fn from(request: RowsRequest) -> Self {
        let dataset = match request.dataset {
            Dataset::Train => wire::rows_request::Dataset::Train,
            Dataset::Validation => wire::rows_request::Dataset::Validation,
            Dataset::Catalog => wire::rows_request::Dataset::Catalog,
        };
        Self {
            session: request.session.to_u64(),
            dataset: dataset.into(),
            first: request.first,
            count: request.count,
        }
    }
}

impl TryFrom<wire::RowsRequest> for RowsRequest {
    type Error = Malformed;
    fn try_from(request: wire::RowsRequest) -> Result<Self, Malformed> {
        use wire::rows_request::Dataset as Wire;
        Ok(Self {
            session: Session::from_u64(request.session),
            dataset: match request.dataset() {
                Wire::Train => Dataset::Train,
                Wire::Validation => Dataset::Validation,
                Wire::Catalog => Dataset::Catalog,
                Wire::Unspecified => return Err(Malformed("rows of no dataset")),
            },
            first: request.first,
            count: request.count,
        })
    }
}
