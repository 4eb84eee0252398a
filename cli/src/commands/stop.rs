//! `lockstep stop`: an admin ends a run, or one worker's part in it, from anywhere.

use lockstep_worker::{Asked, NotAsked};
use serde::Serialize;

use crate::failure::Failure;
use crate::print::{self, count};
use crate::runtime;
use crate::security::TrustArguments;

/// Arguments of `lockstep stop`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the coordinator listens for workers; the port is 29500 by default
    #[arg(value_name = "ADDR", env = "LOCKSTEP_COORDINATOR", hide_env_values = true)]
    address: String,
    /// Ask this worker to leave, and let the run go on
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    #[command(flatten)]
    trust: TrustArguments,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What was asked for, for machines.
#[derive(Serialize)]
struct Told<'a> {
    run: &'a str,
    step: u64,
    /// That is to leave; absent: the run is to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'a str>,
    /// Workers that go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    staying: Option<u32>,
}

/// Asks, and prints what the coordinator has taken on.
///
/// # Errors
/// Nobody answers there, or this is no admin (1); there is no such worker (2).
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let address = crate::launcher::with_port(&arguments.address);
    let trust = arguments.trust.of_admin()?;
    let worker = arguments.worker.as_deref();
    if worker.is_some_and(str::is_empty) {
        return Err(Failure::usage("--worker: a name, as lockstep status prints it"));
    }
    let asked = runtime::current_thread()?.block_on(lockstep_worker::stop(&address, &trust, worker));
    let Asked { run, step, staying } = asked.map_err(|not| match not {
        NotAsked::Usage(why) => Failure::usage(format!("{address}: {why}")),
        NotAsked::Failed(why) => Failure::failed(format!("{address}: {why}")),
    })?;
    if arguments.json {
        let staying = worker.map(|_| staying);
        return print::json(&Told { run: &run, step, worker, staying });
    }
    print::text(&said(&run, step, worker, staying))
}

fn said(run: &str, step: u64, worker: Option<&str>, staying: u32) -> String {
    let step = count(step);
    let Some(worker) = worker else {
        return format!(
            "{run} stops in step {step}: it writes a checkpoint and ends with code 75, or 0 if that was its last step\n\
             the same command with --resume goes on\n"
        );
    };
    let rest = match staying {
        0 => "nobody else is here: a coordinator waits for a worker; train and up end, for --resume to go on"
            .to_owned(),
        1 => "1 worker goes on".to_owned(),
        more => format!("{more} workers go on"),
    };
    format!("{worker} leaves {run} when step {step} is done, and ends with code 75\n{rest}\n")
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn what_comes_next_is_said() {
        assert!(said("digits", 1234, None, 0).starts_with("digits stops in step 1,234: "));
        let leaves = "w leaves digits when step 7 is done, and ends with code 75\n";
        for (staying, rest) in [(0, "nobody else is here"), (1, "1 worker goes on"), (2, "2 workers go on")] {
            let text = said("digits", 7, Some("w"), staying);
            assert!(text.starts_with(leaves) && text.contains(rest), "{text}");
        }
    }
}
