//! `lockstep worker`: one worker.

use std::sync::Arc;
use std::time::Duration;

use lockstep_data::Roots;
use lockstep_proto::PROTOCOL;
use lockstep_proto::message::Outcome;
use lockstep_worker::view::{Observer, View};
use lockstep_worker::{Ended, Options};
use nix::sys::signal::Signal;

use crate::admin;
use crate::failure::Failure;
use crate::security::CoordinatorArguments;
use crate::service_manager::{self, Watchdog};
use crate::{environment, launcher, log, runtime, signals};

/// Arguments of `lockstep worker`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    coordinator: CoordinatorArguments,
    /// Compute threads; the result does not depend on it [default: SLURM_CPUS_PER_TASK, or 1]
    #[arg(long, value_name = "K", env = "LOCKSTEP_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// A folder (or URL) that may be read: data below it are read by this worker itself, all others come
    /// from the coordinator
    #[arg(long, value_name = "ROOT")]
    data: Vec<String>,
    /// A name; a new session under a name ends the old one [default: by the launcher's job and rank, or host
    /// and process]
    #[arg(long, env = "LOCKSTEP_NAME", hide_env_values = true)]
    name: Option<String>,
    /// Give up after so long without a coordinator; 0: never
    #[arg(long, value_name = "SECONDS", env = "LOCKSTEP_WAIT", default_value_t = 600)]
    wait: u64,
    #[command(flatten)]
    admin: admin::AdminArguments,
    #[command(flatten)]
    log: log::LogArguments,
    /// End when this process ends, however it ends
    #[arg(long, hide = true)]
    parent: Option<i32>,
}

/// Works until the run ends.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    // First, so that whatever fails is said in this form.
    let format = arguments.log.format();
    if let Some(parent) = arguments.parent {
        die_with(parent)?;
    }
    lockstep_data::BlockCache::bytes_of_user().map_err(Failure::usage)?;
    // Any kernel to begin with; the run's is known once the coordinator has answered.
    environment::pin(&environment::current_or(lockstep_core::run::default_kernel()))?;
    log::to_stderr(format);
    let launcher = launcher::Variables(|name: &str| std::env::var(name).ok());
    let given = arguments.coordinator.address();
    let coordinator = given.map_or_else(|| launcher.coordinator(), |given| Ok(Some(given)));
    let coordinator = coordinator.map_err(Failure::usage)?.ok_or_else(|| Failure::usage(NOWHERE))?;
    let host =
        nix::unistd::gethostname().map_or("unknown".into(), |host| host.to_string_lossy().into_owned());
    let name = arguments.name.clone().map_or_else(|| launcher.name(), |given| Ok(Some(given)));
    let name = name.map_err(Failure::usage)?.unwrap_or_else(|| format!("{host}-{}", std::process::id()));
    let threads = arguments.threads.map_or_else(|| launcher.threads(), |given| Ok(Some(given)));
    let threads = threads.map_err(Failure::usage)?.unwrap_or(1);
    let observer = Arc::new(Observer::new(View {
        name: name.clone(),
        host: host.clone(),
        coordinator: coordinator.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL,
        numerics: lockstep_core::numerics::name(),
        threads: threads.into(),
        ..View::default()
    }));
    arguments.admin.start(admin::Working::new(observer.clone()))?;
    let options = Options {
        coordinator: coordinator.clone(),
        trust: arguments.coordinator.trust()?,
        name,
        host,
        threads: threads.into(),
        wait: (arguments.wait > 0).then(|| Duration::from_secs(arguments.wait)),
        roots: Roots::new(&arguments.data)
            .map_err(|(root, error)| Failure::usage(format!("--data {root}: {error}")))?,
        keep_kernel: environment::keeps_kernel(),
        observer,
        follow: log::follow,
    };
    let runtime = runtime::current_thread()?;
    let ended = runtime.block_on(async {
        let stop = signals::first()?;
        service_manager::ready(&format!("working for {coordinator}"));
        // On this thread: if messages are not handled, this does not turn either.
        tokio::spawn(watch());
        Ok::<_, Failure>(lockstep_worker::run(&options, stop).await)
    })?;
    match ended {
        Ended::Run(Outcome::Finished, _) => Ok(()),
        Ended::Run(Outcome::Stopped, text) => {
            Err(Failure::unfinished(format!("the run was stopped: {text}")))
        }
        Ended::Run(Outcome::Failed, text) => Err(Failure::failed(format!("the run failed: {text}"))),
        Ended::OtherKernel(kernel) => environment::pin(&kernel),
        Ended::Refused(text) => Err(Failure::failed(format!("the coordinator refused this worker: {text}"))),
        Ended::Usage(text) => Err(Failure::usage(text)),
        Ended::NoCoordinator => {
            let wait = arguments.wait;
            Err(Failure::unfinished(format!("no coordinator at {coordinator} within {wait} s")))
        }
        Ended::Stopped => Err(Failure::unfinished("stopped, as it was asked to; others compute its shards")),
    }
}

const NOWHERE: &str = "no coordinator: give --coordinator HOST:PORT, set LOCKSTEP_COORDINATOR, or start this by a \
                       launcher that sets MASTER_ADDR or SLURM_JOB_NODELIST (see lockstep worker --help)";

/// Shows the service manager that this runtime turns.
async fn watch() {
    let mut watchdog = Watchdog::of_unit();
    while let Some(every) = watchdog.every() {
        watchdog.turned();
        tokio::time::sleep(every).await;
    }
}

/// Asks the system to kill this process when its parent ends.
fn die_with(parent: i32) -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|error| Failure::failed(format!("cannot follow the parent process: {error}")))?;
    // It may have ended before the system was asked.
    if nix::unistd::getppid().as_raw() != parent {
        return Err(Failure::unfinished("the parent process has ended"));
    }
    Ok(())
}
