//! What `train` and `coordinator` share: from a run file to a coordinator that ran.

mod effects;
mod serve;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockstep_coordinator::Trace;
use lockstep_coordinator::assemble::{self, From, Standing};
use lockstep_coordinator::datasets::Datasets;
use lockstep_coordinator::door::Door;
use lockstep_coordinator::driver::Ended;
use lockstep_coordinator::store::{self, Bytes, Identity, Opened, Results, RunDirectory, StoreError};
use lockstep_coordinator::view::{self, Publisher, View, Window};
use lockstep_coordinator::watch::{Best, Watch};
use lockstep_core::model::Model;
use lockstep_core::run::{
    self,
    spec::{Data, Run},
};
use lockstep_data::{Goal, Prepared, Skipped};
use lockstep_proto::PROTOCOL;
use lockstep_proto::message::Outcome;
use lockstep_proto::settings::TRACE;
use tracing::Instrument;

use crate::environment;
use crate::failure::Failure;
use crate::log::{self, Format, LogArguments};
use crate::print;
use crate::reading::Reading;
use crate::show::{Show, words};
use crate::workers::Workers;
use effects::RunEffects;
use serve::{Server, Stopping};

/// Arguments of both commands.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// The run file
    #[arg(value_name = "RUN.toml")]
    run: PathBuf,
    /// Where the run writes [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Go on from the newest valid checkpoint, or begin where there is none
    #[arg(long)]
    resume: bool,
    /// Override a value of the run file, such as train.epochs=5
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Steps between two lines of metrics.jsonl; evaluations and the last step always have one
    #[arg(long, value_name = "STEPS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    record_every: u64,
    /// Stop after so long with a checkpoint and exit code 75, such as 90s or "1h 30m"; --resume goes on
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    time_limit: Option<Duration>,
    #[command(flatten)]
    pub log: LogArguments,
    /// Print the results as JSON
    #[arg(long)]
    pub json: bool,
}

/// A run whose file, data and directory are in order.
#[derive(Debug)]
pub struct Ready {
    pub run: Run,
    rows: Datasets,
    model: Model,
    opened: Opened,
    began: Instant,
    record_every: u64,
    time_limit: Option<Duration>,
    publisher: Publisher,
    server: Server,
    /// Of log lines.
    pub format: Format,
}

/// Through which a run can be looked at, before it is known.
pub fn window() -> (Publisher, Window) {
    view::channel(View {
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL,
        numerics: lockstep_core::numerics::name(),
        ..View::default()
    })
}

/// Reads and checks everything before any worker starts. Once this process has the run's kernel, and before
/// it reads data, it hears signals and calls `listen`.
///
/// # Errors
/// Bad run file or data (78), a directory that holds a run (2), or the system refuses (1).
pub fn prepare(
    arguments: &RunArguments,
    mut publisher: Publisher,
    listen: impl FnOnce() -> Result<(), Failure>,
) -> Result<Ready, Failure> {
    let (began, format) = (Instant::now(), arguments.log.format());
    let run = read_run(&arguments.run, &arguments.sets)?;
    environment::pin(&run.cluster.kernel)?;
    let server = Server::new()?;
    publisher.describe(|view| {
        view.run.clone_from(&run.name);
        view.numerics = lockstep_core::numerics::name();
        view.epochs = run.train.epochs;
    });
    listen()?;
    let path = arguments.run_dir.clone().unwrap_or_else(|| Path::new("runs").join(&run.name));
    store::check(&path, arguments.resume, &run)?;
    let base = arguments.run.parent().unwrap_or(Path::new(""));
    let rows = Datasets::new(rows(arguments, &run, &path, base)?);
    if rows.catalog.skipped != Skipped::default() {
        let Skipped { train, validation } = rows.catalog.skipped;
        print::note(format!("left out bad rows: {train} to train on, {validation} to validate on"));
    }
    if rows.catalog.in_blocks() {
        say_blocks(&run, &rows);
    }
    let model = assemble::model(&run, &rows)
        .map_err(|problem| Failure::bad(format!("{}: {problem}", arguments.run.display())))?;
    if let Some((key, metric)) = assemble::foreign_metric(&run, &rows) {
        let (path, metric) = (arguments.run.display(), metric.name());
        let text = "the model has no such metric (classes have an accuracy, numbers rmse, mae and r2)";
        return Err(Failure::bad(format!("{path}: {key}: found {metric:?}; {text}")));
    }
    let inputs = assemble::inputs(&run, &rows.catalog);
    let base = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
    let catalog = &rows.catalog;
    let (encoder, train) = (&catalog.encoder, &catalog.train.shape);
    let identity = Identity { run: &run, encoder, model: &model, train, inputs, base: &base };
    let opened = match RunDirectory::create_or_resume(&path, arguments.resume, identity) {
        Err(error @ StoreError::OtherData { .. }) => return Err(changed(error, &path, &run, &base)),
        opened => opened?,
    };
    opened.directory.write_catalog(catalog)?;
    let RunArguments { record_every, time_limit, .. } = *arguments;
    publisher.describe(|view| view.total_steps = assemble::total_steps(&run, &rows));
    Ok(Ready { run, rows, model, opened, began, record_every, time_limit, publisher, server, format })
}

/// Says that rows are read when they are needed, and what that takes.
fn say_blocks(run: &Run, rows: &Datasets) {
    let Data { shuffle_rows, in_memory, .. } = run.data;
    if let Some(cache) = lockstep_data::BlockCache::of_user() {
        print::note(format!("more data than in_memory = {}: {cache}", print::bytes(in_memory)));
    }
    let shape = rows.train.shape();
    let row_bytes = 4 * (shape.width().unwrap_or(0) as u64 + 1);
    let needed = shuffle_rows.saturating_mul(u64::from(run.cluster.shards)).min(shape.rows) * row_bytes;
    let [memory, _] = lockstep_data::memory(&run.data);
    if !rows.catalog.train.whole && needed > memory {
        print::note(format!(
            "windows of {shuffle_rows} rows of all {} shards take {}, and blocks may take {}: a worker that has \
             all shards reads blocks again and again; lower data.shuffle_rows or raise data.in_memory",
            run.cluster.shards,
            print::bytes(needed),
            print::bytes(memory)
        ));
    }
}

/// Says where data differ from those that a run began with, as far as its catalog tells.
fn changed(error: StoreError, path: &Path, run: &Run, base: &Path) -> Failure {
    let stored = store::read_catalog(path).ok().flatten();
    match stored.map(|stored| lockstep_data::find_change(&stored, &run.data, run.seed, base)) {
        Some(Ok(Some((file, change)))) => Failure::bad(format!("{error}\n  {file}: {change}")),
        Some(Err(why)) => Failure::bad(format!("{error}\n  {why}")),
        _ => error.into(),
    }
}

/// The run's data; those of a run that goes on are not gone through again if they are the same files.
fn rows(arguments: &RunArguments, run: &Run, path: &Path, base: &Path) -> Result<Prepared, Failure> {
    lockstep_data::BlockCache::bytes_of_user().map_err(Failure::usage)?;
    // A damaged catalog says nothing: all rows are gone through.
    let stored = store::read_catalog(path).ok().flatten().filter(|_| arguments.resume);
    let again = stored.map(|stored| lockstep_data::again(stored, &run.data, run.seed, base));
    match again.transpose().map_err(Failure::bad)?.flatten() {
        Some(rows) => Ok(rows),
        None => {
            let reading = Reading::new();
            let watch = |stage, rows, all| reading.show(stage, rows, all);
            lockstep_data::load_watched(&run.data, Goal::of(run), run.seed, base, &watch)
                .map_err(Failure::bad)
        }
    }
}

/// A run file with its overrides.
pub fn read_run(path: &Path, sets: &[String]) -> Result<Run, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::bad(format!("{}: cannot be read: {error}", path.display())))?;
    run::parse(&text, sets).map_err(|problem| Failure::bad(format!("{}: {problem}", path.display())))
}

/// Where workers connect, and those that this process starts itself.
pub struct Listening {
    pub listener: std::net::TcpListener,
    pub door: Door,
    pub workers: Option<Workers>,
}

impl Ready {
    /// Rows of a shard in one step, at least.
    pub fn microbatch(&self) -> u64 {
        self.run.train.batch_size / u64::from(self.run.cluster.shards)
    }

    /// The folders of its data, if workers of this machine should read there.
    pub fn folders(&self) -> Vec<String> {
        if self.rows.catalog.in_blocks() { self.rows.catalog.folders() } else { Vec::new() }
    }

    /// The run's directory.
    pub fn directory(&self) -> &RunDirectory {
        &self.opened.directory
    }

    /// Coordinates the run until it ends.
    ///
    /// # Errors
    /// The run failed (1) or was stopped (75).
    pub fn run(self, listening: Listening, json: bool) -> Result<(), Failure> {
        let Self { run, rows, model, opened, began, record_every, time_limit, mut publisher, server, .. } =
            self;
        let rows_skipped = rows.catalog.skipped;
        let Opened { directory, start, checkpoint, fingerprint, skipped } = opened;
        for problem in skipped {
            let text = format!("a damaged checkpoint was put aside: {problem}");
            tracing::warn!("{text}");
            print::note(text);
        }
        let directory = Arc::new(directory);
        let plan = assemble::plan(&run, &rows);
        let total_steps = assemble::total_steps(&run, &rows);
        let resumed = checkpoint.as_ref().map(|checkpoint| (checkpoint.step, checkpoint.digest));
        let from = checkpoint.map(|checkpoint| {
            let mut progress = checkpoint.progress;
            progress.saved_step = checkpoint.milestone.then_some(checkpoint.step);
            progress.best = progress.best.filter(|best| Some(best.metric) == run.checkpoint.best);
            From { progress, weights: checkpoint.weights, optimizer: checkpoint.optimizer }
        });
        let cluster = assemble::cluster(
            &run,
            &model,
            &rows,
            directory.kind(),
            Standing { start, fingerprint, checkpoint: from },
        );

        let done = resumed.map_or(0, |(step, _)| step);
        if done > 0 {
            print::note(format!("going on after step {done} of {total_steps}"));
        }
        let show =
            Show::new(total_steps, done, run.train.epochs, directory.kind(), listening.workers.is_some());
        if let Some((step, _)) = resumed {
            publisher.describe(|view| view.checkpoints.step = Some(step));
        }
        let stopping = Stopping::default();
        let (effects, digest) =
            RunEffects::new(directory.clone(), show.clone(), resumed, record_every, stopping.clone());
        let heartbeat = Duration::from_millis(run.cluster.heartbeat_ms);
        let until = serve::until(began, time_limit);
        let refused = listening.door.refused();
        let ended = server.run(listening, until, &stopping, |listener, mut coordinator| {
            coordinator.show(publisher);
            let span = tracing::info_span!("run", run = run.name, step = done);
            // Apart from the log's, whose step changes with each.
            let traced = tracing::trace_span!(target: TRACE, "run", run = run.name, from = done);
            let parent = log::parent(&traced);
            let coordinator = coordinator.traced(Trace { run: traced, parent });
            coordinator.run(listener, cluster, effects, Arc::new(rows), heartbeat).instrument(span)
        })?;
        show.clear();
        let Ended { outcome, text, cluster, bytes } = ended;
        for (reason, count) in cluster.refused() {
            tracing::warn!("{count} gradient chunks were refused: {reason}");
        }
        for (reason, count) in refused.counts() {
            tracing::warn!("{count} {}s were refused: {reason}", reason.what());
        }
        match outcome {
            Outcome::Finished => {}
            Outcome::Stopped => {
                let path = directory.path().display();
                let limit = until.is_some_and(|until| Instant::now() >= until);
                let text = if limit { format!("the time limit is reached: {text}") } else { text };
                return Err(Failure::unfinished(format!(
                    "{text}; run the same command with --resume to go on (checkpoints are in {path})"
                )));
            }
            Outcome::Failed => return Err(Failure::failed(text)),
        }
        let Some(digest) = digest.newest() else { return Err(Failure::failed("the run has no digest")) };
        let bytes = Bytes { up: bytes.up, down: bytes.down };
        let progress = cluster.machine().progress();
        let wall = began.elapsed().as_secs_f64();
        let results = Results::new(progress, digest, plan.steps_per_epoch(), directory.kind(), wall, bytes);
        let results = Results { rows_skipped, ..results };
        if let Some(Err(problem)) =
            progress.best.and_then(|best| best.step()).map(|step| directory.finish_best(step))
        {
            print::note(format!("the best model is lost: {problem}"));
        }
        directory.finish(&results).map_err(Failure::failed)?;
        report(&results, directory.path(), json)
    }
}

fn report(results: &Results, directory: &Path, json: bool) -> Result<(), Failure> {
    if json {
        return print::json(results);
    }
    let Results { steps, epochs, train_seconds, samples_per_second, workers, digest, .. } = results;
    print::text(&format!(
        "finished {epochs} epochs, {steps} steps in {train_seconds:.2} s ({samples_per_second:.0} rows/s)\n"
    ))?;
    let mut rows = Vec::new();
    if let Some(loss) = results.train.loss {
        rows.push(("training", format!("loss {loss:.4}")));
    }
    if let Some(report) = &results.validation {
        rows.push(("validation", words(report)));
    }
    if let Some(Watch { metric, best: Some(Best { step, value }), .. }) = &results.best {
        rows.push(("best", format!("{} {value:.4} after step {step}: best.safetensors", metric.name())));
    }
    rows.push(("workers", format!("{} joined, {} lost", workers.joined, workers.lost)));
    if let Some(audit) = &workers.audit {
        let wrong: Vec<&str> = audit.put_out.iter().map(|wrong| wrong.worker.as_str()).collect();
        let wrong =
            if wrong.is_empty() { "all alike".into() } else { format!("put out: {}", wrong.join(", ")) };
        rows.push(("audit", format!("{} pairs of step and shards computed twice, {wrong}", audit.pairs)));
    }
    rows.push(("digest", digest.to_string()));
    rows.push(("model", directory.join("model.safetensors").display().to_string()));
    print::text(&print::list(&rows))
}

/// Binds the address that workers connect to.
pub fn bind(address: &str) -> Result<(std::net::TcpListener, SocketAddr), Failure> {
    let failed = |error| Failure::failed(format!("cannot listen on {address}: {error}"));
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Opens the run's log for lines of this process, and returns it for those of its workers.
pub fn open_log(prepared: &Ready) -> Result<std::fs::File, Failure> {
    let path = prepared.directory().log();
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
    log::to_file(file.try_clone().map_err(failed)?, prepared.format);
    Ok(file)
}
