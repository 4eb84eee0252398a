//! `make fuzz`: foreign bytes without end, or for some seconds.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use lockstep_tests::fuzz::Fuzz;

/// Feeds mutated inputs to everything that reads foreign bytes. Case N is the same on every machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// One case alone, to see it fail again
    #[arg(long)]
    seed: Option<u64>,
    /// The first case [default: from the clock]
    #[arg(long)]
    from: Option<u64>,
    /// Stop after so many seconds
    #[arg(long)]
    seconds: Option<u64>,
}

fn main() -> ExitCode {
    let Arguments { seed, from, seconds } = Arguments::parse();
    let fuzz = Fuzz::new();
    if let Some(seed) = seed {
        return verdict(&fuzz, seed);
    }
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let first = from.unwrap_or_else(|| clock.map_or(0, |time| time.as_secs() << 20));
    let (began, mut told) = (Instant::now(), Instant::now());
    println!("cases from {first} on");
    for seed in first.. {
        if verdict(&fuzz, seed) == ExitCode::FAILURE {
            return ExitCode::FAILURE;
        }
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            println!("{} cases in {} s", seed - first, began.elapsed().as_secs());
        }
        if seconds.is_some_and(|seconds| began.elapsed() >= Duration::from_secs(seconds)) {
            println!("{} cases, nothing found", seed - first + 1);
            break;
        }
    }
    ExitCode::SUCCESS
}

fn verdict(fuzz: &Fuzz, seed: u64) -> ExitCode {
    match fuzz.case(seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reader) => {
            println!("{reader}: case {seed} fails; again: make fuzz ARGS=\"--seed {seed}\"");
            ExitCode::FAILURE
        }
    }
}
