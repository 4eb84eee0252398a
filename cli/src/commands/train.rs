//! `lockstep train`: a local cluster.

use lockstep_coordinator::door::Door;

use crate::admin;
use crate::coordinate::{self, Listening, RunArguments};
use crate::failure::Failure;
use crate::local;
use crate::print;

/// Below so many rows a product is far from the processor's speed.
const FEW_ROWS: u64 = 32;

/// Arguments of `lockstep train`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,
    /// Worker processes [default: one a core, at most one a shard]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Compute threads of each worker
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    #[command(flatten)]
    admin: admin::AdminArguments,
}

/// Trains to the end.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let (show, window) = coordinate::window();
    let prepared = coordinate::prepare(&arguments.run, show, || {
        arguments.admin.start(admin::Coordinating::new(window))
    })?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shards = prepared.run.cluster.shards as usize;
    let threads = usize::from(arguments.threads);
    let workers = arguments.workers.map_or((cores / threads).clamp(1, shards), usize::from);
    advise(&prepared, workers * threads, cores);

    let log = coordinate::open_log(&prepared)?;
    let (listener, address) = coordinate::bind("127.0.0.1:0")?;
    let folders = prepared.folders();
    let started = local::start(workers, arguments.threads, address, &folders, &log, prepared.format);
    let workers = started.map_err(|error| Failure::failed(format!("cannot start workers: {error}")))?;
    prepared.run(Listening { listener, door: Door::default(), workers: Some(workers) }, arguments.run.json)
}

/// Says what is left unused, and what would use it.
fn advise(prepared: &coordinate::Ready, threads: usize, cores: usize) {
    let shards = prepared.run.cluster.shards as usize;
    let useful = threads.min(shards);
    if useful < cores && shards > useful {
        print::note(format!(
            "{useful} of {cores} cores compute; --workers {} would use more",
            cores.min(shards)
        ));
    } else if useful < cores {
        print::note(format!(
            "{useful} of {cores} cores compute, because the run has {shards} shards; cluster.shards = {cores} \
             would use all, and is another run with another digest"
        ));
    }
    let rows = prepared.microbatch();
    if rows < FEW_ROWS {
        let batch = FEW_ROWS * shards as u64;
        print::note(format!(
            "a shard has {rows} rows a step; products are faster from {FEW_ROWS} rows on \
             (train.batch_size = {batch}, or fewer shards)"
        ));
    }
}
