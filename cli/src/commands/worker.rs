//! `lockstep worker`: one worker.

use std::time::Duration;

use lockstep_data::Roots;
use lockstep_proto::message::Outcome;
use lockstep_worker::{Ended, Options};
use nix::sys::signal::Signal;

use crate::environment;
use crate::failure::Failure;
use crate::{log, signals};

/// Arguments of `lockstep worker`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the coordinator listens
    #[arg(long, value_name = "HOST:PORT")]
    coordinator: String,
    /// Compute threads; the result does not depend on it
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// A folder (or URL) that may be read: data below it are read by this worker itself, all others come
    /// from the coordinator
    #[arg(long, value_name = "ROOT")]
    data: Vec<String>,
    /// A name; a new session under a name ends the old one [default: host and process]
    #[arg(long)]
    name: Option<String>,
    /// Give up after so long without a coordinator; 0: never
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    wait: u64,
    /// End when this process ends, however it ends
    #[arg(long, hide = true)]
    parent: Option<i32>,
}

/// Works until the run ends.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(parent) = arguments.parent {
        die_with(parent)?;
    }
    lockstep_data::BlockCache::bytes_of_user().map_err(Failure::usage)?;
    // Any kernel to begin with; the run's is known once the coordinator has answered.
    environment::pin(&environment::current_or(lockstep_core::run::default_kernel()))?;
    log::to_stderr();
    let host =
        nix::unistd::gethostname().map_or("unknown".into(), |host| host.to_string_lossy().into_owned());
    let options = Options {
        coordinator: arguments.coordinator.clone(),
        name: arguments.name.clone().unwrap_or_else(|| format!("{host}-{}", std::process::id())),
        host,
        threads: arguments.threads.into(),
        wait: (arguments.wait > 0).then(|| Duration::from_secs(arguments.wait)),
        roots: Roots::new(&arguments.data)
            .map_err(|(root, error)| Failure::usage(format!("--data {root}: {error}")))?,
        keep_kernel: environment::keeps_kernel(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no runtime: {error}")))?;
    let ended = runtime.block_on(async {
        let stop = signals::first()?;
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
        Ended::NoCoordinator => {
            let Arguments { coordinator, wait, .. } = arguments;
            Err(Failure::unfinished(format!("no coordinator at {coordinator} within {wait} s")))
        }
        Ended::Stopped => Err(Failure::unfinished("stopped by a signal")),
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
