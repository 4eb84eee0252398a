//! `lockstep coordinator`: the coordinator alone.

use std::net::SocketAddr;

use crate::admin;
use crate::coordinate::{self, Listening, RunArguments};
use crate::failure::Failure;
use crate::security::{GuardArguments, Join};
use crate::{print, service_manager};

/// Arguments of `lockstep coordinator`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,
    /// Where workers connect
    #[arg(long, value_name = "ADDR", env = "LOCKSTEP_LISTEN", default_value = "127.0.0.1:29500")]
    listen: String,
    #[command(flatten)]
    guard: GuardArguments,
    #[command(flatten)]
    admin: admin::AdminArguments,
}

/// Coordinates to the end.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    // First, so that whatever fails is said in this form.
    arguments.run.log.format();
    let guard = arguments.guard.check()?;
    let (show, window) = coordinate::window();
    let prepared = coordinate::prepare(&arguments.run, show, || {
        arguments.admin.start_usual(admin::Coordinating::new(window))
    })?;
    let (listener, address) = coordinate::bind(&arguments.listen)?;
    coordinate::open_log(&prepared)?;
    let (door, join) = guard.door(address, prepared.directory().path())?;
    print::note(format!("listening on {address}; start workers, here or elsewhere, with"));
    let Join { before, options } = join;
    print::note(format!("  {before}lockstep worker --coordinator {}{options}", reachable(address)));
    service_manager::ready(&format!("listening on {address}"));
    prepared.run(Listening { listener, door, workers: None }, arguments.run.json)
}

/// An address that a worker can use: this host's name where the coordinator listens on all of them.
fn reachable(address: SocketAddr) -> String {
    if !address.ip().is_unspecified() {
        return address.to_string();
    }
    let host = nix::unistd::gethostname().map_or("HOST".into(), |host| host.to_string_lossy().into_owned());
    format!("{host}:{}", address.port())
}
