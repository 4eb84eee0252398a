//! The `lockstep` command: parse, run, exit code.

#![allow(unreachable_pub, reason = "nothing is reachable in a command")]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod admin;
mod commands;
mod coordinate;
mod environment;
mod failure;
mod launcher;
mod local;
mod log;
mod print;
mod reading;
mod remote;
mod rows;
mod runtime;
mod security;
mod service_manager;
mod show;
mod signals;
mod workers;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Trains neural networks on a cluster of CPU processes. The result is a function of the run file and
/// its data, never of the cluster: one worker or sixteen, killed, slowed or joined late, the same bits.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 finished, 1 failed, 2 wrong usage, 75 not finished (run the same again), \
                          78 bad run file or data (do not retry), 130 or 143 a second signal";

#[derive(Debug, Subcommand)]
enum Command {
    /// Train on a local cluster: the coordinator in this process, workers in processes of their own
    Train(commands::train::Arguments),
    /// Coordinate a run; workers join from anywhere
    Coordinator(commands::coordinator::Arguments),
    /// Coordinate a run, with workers on other hosts that are started by ssh
    Up(commands::up::Arguments),
    /// Work for a coordinator
    Worker(commands::worker::Arguments),
    /// Print what a running coordinator or worker is doing
    Status(commands::status::Arguments),
    /// End a run with a checkpoint, or ask one of its workers to leave
    Stop(commands::stop::Arguments),
    /// Make and revoke certificates, for clusters across machines
    Certs(commands::certs::Arguments),
    /// Say whether this machine is fit to compute and to reach a coordinator, and what to do if not
    Doctor(commands::doctor::Arguments),
    /// Print a model's metrics on data
    Evaluate(commands::evaluate::Arguments),
    /// Write a model's predictions for rows as CSV or Parquet
    Predict(commands::predict::Arguments),
    /// Write a run file for data
    Init(commands::init::Arguments),
    /// Run steps of a run again on this machine and compare: whether its record is true
    Verify(commands::verify::Arguments),
    /// Print what a run file, dataset, model, checkpoint or run directory is
    Inspect(commands::inspect::Arguments),
}

fn main() -> ExitCode {
    // The first in the process, so it is taken.
    let _ = lockstep_proto::tls::provider().install_default();
    let done: Result<(), Failure> = match Arguments::parse().command {
        Command::Train(arguments) => commands::train::run(arguments),
        Command::Coordinator(arguments) => commands::coordinator::run(arguments),
        Command::Up(arguments) => commands::up::run(arguments),
        Command::Worker(arguments) => commands::worker::run(&arguments),
        Command::Status(arguments) => commands::status::run(&arguments),
        Command::Stop(arguments) => commands::stop::run(&arguments),
        Command::Certs(arguments) => commands::certs::run(&arguments),
        Command::Doctor(arguments) => commands::doctor::run(&arguments),
        Command::Evaluate(arguments) => commands::evaluate::run(&arguments),
        Command::Predict(arguments) => commands::predict::run(&arguments),
        Command::Init(arguments) => commands::init::run(&arguments),
        Command::Verify(arguments) => commands::verify::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
    };
    log::finish();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::failure(&failure);
            ExitCode::from(failure.code())
        }
    }
}
