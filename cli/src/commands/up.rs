//! `lockstep up`: a coordinator here, workers on other hosts.

use crate::admin;
use crate::coordinate::{self, Listening, RunArguments};
use crate::failure::Failure;
use crate::remote::{self, Host, Joining, Starting};
use crate::{print, security};

/// Arguments of `lockstep up`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,
    /// Where workers are started, by ssh with your own keys and configuration: h1,h2:4 is one on h1 and
    /// four on h2
    #[arg(long, value_name = "HOST[:N],...", value_delimiter = ',', required = true)]
    hosts: Vec<Host>,
    /// Compute threads of each worker
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Where workers connect
    #[arg(long, value_name = "ADDR", env = "LOCKSTEP_LISTEN", default_value = "0.0.0.0:29500")]
    listen: String,
    /// This host's name or address as the others reach it [default: the one that ssh comes from]
    #[arg(long, value_name = "HOST")]
    address: Option<String>,
    /// The ssh command, with options
    #[arg(long, value_name = "COMMAND", env = "LOCKSTEP_SSH", default_value = "ssh")]
    ssh: String,
    /// The lockstep command on the hosts
    #[arg(long, value_name = "PATH", default_value = "lockstep")]
    remote_lockstep: String,
    #[command(flatten)]
    admin: admin::AdminArguments,
}

/// Coordinates to the end.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let (show, window) = coordinate::window();
    let prepared = coordinate::prepare(&arguments.run, show, || {
        arguments.admin.start_usual(admin::Coordinating::new(window))
    })?;
    let (listener, address) = coordinate::bind(&arguments.listen)?;
    let log = coordinate::open_log(&prepared)?;
    let (door, fingerprint, token) = security::join_token(prepared.directory().path())?;
    let joining = Joining { address: arguments.address.as_deref(), port: address.port(), fingerprint, token };
    let starting = Starting {
        ssh: &arguments.ssh,
        program: &arguments.remote_lockstep,
        threads: arguments.threads,
        format: prepared.format,
    };
    let workers = remote::start(&arguments.hosts, &joining, &starting, &log)
        .map_err(|error| Failure::failed(format!("{}: cannot be started: {error}", arguments.ssh)))?;
    let count: u32 = arguments.hosts.iter().map(|host| u32::from(host.workers)).sum();
    let hosts = arguments.hosts.len();
    print::note(format!("listening on {address}; starting {count} workers on {hosts} hosts by ssh"));
    prepared.run(Listening { listener, door, workers: Some(workers) }, arguments.run.json)
}
