//! Joining: from Hello's answer to a task whose bits can be compared.

use std::sync::Arc;
use std::time::Duration;

use lockstep_core::run::{Problem, spec};
use lockstep_core::{blas, numerics};
use lockstep_data::{BlockCache, Blocks, Catalog, Listing, Rows, Shape, Source};
use lockstep_proto::Session;
use lockstep_proto::message::{Dataset, ToWorker, Welcome};
use tokio::runtime::Handle;
use tracing::info;

use super::connect::{Connection, Lost};
use super::served::{RowsClient, Served};
use super::{Ended, Options};
use crate::task::Task;

/// A session that is ready to compute.
pub(super) struct Joined {
    pub(super) session: Session,
    pub(super) window: u32,
    pub(super) task: Task,
    pub(super) fingerprint: [u8; 32],
}

/// Waits for Welcome, fetches the rows (or what they are), builds the model and computes the fingerprint.
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

    let client = connection.rows(welcome.session).await?;
    let (train, validation) = if welcome.blocks {
        in_blocks(options, client, &run).await?
    } else {
        whole(client, &welcome).await?
    };
    info!("{} training rows{}", train.rows(), if welcome.blocks { ", in blocks" } else { "" });
    let Welcome { session, run, window, .. } = welcome;
    let ready = tokio::task::spawn_blocking(move || {
        let task = Task::new(&run, train, validation)?;
        let fingerprint = numerics::fingerprint(&task.run, &task.model, task.target, task.train.rows());
        Ok::<_, Lost>((task, fingerprint))
    });
    let (task, fingerprint) = ready.await.map_err(|_| Lost::Compute)??;
    Ok(Ok(Joined { session, window, task, fingerprint }))
}

/// All rows, taken once.
async fn whole(client: RowsClient, welcome: &Welcome) -> Result<(Rows, Option<Rows>), Lost> {
    let shape =
        |json: &str| serde_json::from_str::<Shape>(json).map_err(|error| Lost::Rows(error.to_string()));
    let train = client.table(Dataset::Train, 0, shape(&welcome.train)?).await?;
    let validation = match &welcome.validation {
        Some(json) => Some(client.table(Dataset::Validation, 0, shape(json)?).await?),
        None => None,
    };
    let rows = |table| Rows::Whole(Arc::new(table));
    Ok((rows(train), validation.map(rows)))
}

/// Rows that are read when they are needed; of the two, the smaller may be held whole.
async fn in_blocks(
    options: &Options,
    client: RowsClient,
    run: &spec::Run,
) -> Result<(Rows, Option<Rows>), Lost> {
    let json = client.catalog().await?;
    let catalog = Catalog::from_json(&json).map_err(|bad| Lost::Rows(bad.to_string()))?;
    let cache = BlockCache::of_user().map(Arc::new);
    let [train_files, validation_files] = catalog.below(&options.roots, &run.data, run.seed);
    let [of_train, of_validation] = lockstep_data::memory(&run.data);
    let dataset = async |dataset: Dataset, listing: &Listing, files: Option<Box<dyn Source>>, memory: u64| {
        if listing.whole {
            let table = client.table(dataset, 0, listing.shape.clone()).await?;
            return Ok::<_, Lost>(Rows::Whole(Arc::new(table)));
        }
        let served = Served {
            rows: client.clone(),
            runtime: Handle::current(),
            dataset,
            shape: listing.shape.clone(),
            starts: listing.starts(),
        };
        let served: Box<dyn Source> = Box::new(served);
        let sources = files.into_iter().chain([served]).collect();
        Ok(Rows::Blocks(Arc::new(Blocks::new(listing.clone(), memory, cache.clone(), sources))))
    };
    let train = dataset(Dataset::Train, &catalog.train, train_files, of_train).await?;
    let validation = match &catalog.validation {
        Some(listing) => Some(dataset(Dataset::Validation, listing, validation_files, of_validation).await?),
        None => None,
    };
    Ok((train, validation))
}

fn unfit(problem: Problem) -> Lost {
    Lost::Unfit(problem.into())
}
