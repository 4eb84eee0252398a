//! Joining: from Hello's answer to a task whose bits can be compared.

use std::time::Duration;

use lockstep_core::run::Problem;
use lockstep_core::{blas, numerics};
use lockstep_data::{Receiver, Shape, Table};
use lockstep_proto::Session;
use lockstep_proto::message::{Dataset, RowsRequest, ToWorker, Welcome};
use tracing::info;

use super::connect::{Connection, Lost};
use super::{Ended, Options};
use crate::task::Task;

/// A session that is ready to compute.
pub(super) struct Joined {
    pub(super) session: Session,
    pub(super) window: u32,
    pub(super) task: Task,
    pub(super) fingerprint: [u8; 32],
}

/// Waits for Welcome, fetches the rows, builds the model and computes the fingerprint.
pub(super) async fn join(
    options: &Options,
    connection: &mut Connection,
) -> Result<Result<Joined, Ended>, Lost> {
    let first = connection.control.message().await?.ok_or(Lost::Closed)?;
    let welcome = match first.try_into()? {
        ToWorker::Welcome(welcome) => welcome,
        ToWorker::Refused(refused) if refused.reason.may_return() => return Err(Lost::Refused(refused.text)),
        ToWorker::Refused(refused) => return Ok(Err(Ended::Refused(refused.text))),
        ToWorker::End(end) => return Ok(Err(Ended::Run(end.outcome, end.text))),
        _ => return Err(Lost::Closed),
    };
    if welcome.kernel != blas::kernel() && !options.keep_kernel {
        return Ok(Err(Ended::OtherKernel(welcome.kernel)));
    }
    let run = lockstep_core::run::parse(&welcome.run, &[]).map_err(|problem: Problem| unfit(problem))?;
    connection.start_heartbeat(Duration::from_millis(run.cluster.heartbeat_ms));

    let Welcome { session, run, train, validation, window, .. } = welcome;
    let train = fetch(connection, session, Dataset::Train, &train).await?;
    let validation = match validation {
        Some(shape) => Some(fetch(connection, session, Dataset::Validation, &shape).await?),
        None => None,
    };
    info!("received {} training rows", train.rows());
    let ready = tokio::task::spawn_blocking(move || {
        let task = Task::new(&run, train, validation)?;
        let fingerprint = numerics::fingerprint(&task.run, &task.model, task.target, task.train.rows());
        Ok::<_, Lost>((task, fingerprint))
    });
    let (task, fingerprint) = ready.await.map_err(|_| Lost::Compute)??;
    Ok(Ok(Joined { session, window, task, fingerprint }))
}

/// All rows of a dataset, in their stored type.
async fn fetch(
    connection: &Connection,
    session: Session,
    dataset: Dataset,
    shape: &str,
) -> Result<Table, Lost> {
    let shape: Shape = serde_json::from_str(shape).map_err(|error| Lost::Rows(error.to_string()))?;
    let count = shape.rows;
    let wrong = |error: lockstep_data::PartError| Lost::Rows(error.to_string());
    let mut receiver = Receiver::new(shape).map_err(wrong)?;
    let request = RowsRequest { session, dataset, first: 0, count };
    let mut parts = connection.rows(request.into()).await?;
    while let Some(part) = parts.message().await? {
        receiver.append(&part.payload).map_err(wrong)?;
    }
    receiver.finish().map_err(wrong)
}

fn unfit(problem: Problem) -> Lost {
    Lost::Unfit(problem.into())
}
