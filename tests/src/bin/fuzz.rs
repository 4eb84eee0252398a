//! `make fuzz`: foreign bytes without end, or for some minutes.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use clap::builder::PossibleValuesParser;
use lockstep_tests::fuzz::Fuzz;

/// Feeds mutated inputs to everything that reads foreign bytes. Case N is the same on every machine, as long
/// as the corpus is.
#[derive(Debug, Parser)]
struct Arguments {
    /// What is fed [default: all, in a drawn order]
    #[arg(long, value_parser = PossibleValuesParser::new(Fuzz::targets()))]
    target: Option<String>,
    /// One case alone, to see it fail again
    #[arg(long)]
    seed: Option<u64>,
    /// The first case [default: from the clock]
    #[arg(long)]
    from: Option<u64>,
    /// Stop after so many minutes, which may be a fraction
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// Write the valid files of tests/corpus/ anew, and end
    #[arg(long)]
    write_corpus: bool,
}

fn main() -> ExitCode {
    let Arguments { target, seed, from, minutes, write_corpus } = Arguments::parse();
    if write_corpus {
        Fuzz::write_corpus();
        return ExitCode::SUCCESS;
    }
    let (fuzz, target) = (Fuzz::new(), target.as_deref());
    if let Some(seed) = seed {
        return verdict(&fuzz, target, seed);
    }
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let first = from.unwrap_or_else(|| clock.map_or(0, |time| time.as_secs() << 20));
    let until = minutes.and_then(|minutes| Duration::try_from_secs_f64(60.0 * minutes).ok());
    let (began, mut told) = (Instant::now(), Instant::now());
    // A case that takes long is not a failure, but worth a look.
    let mut slowest = (Duration::ZERO, first);
    println!("{}: cases from {first} on", target.unwrap_or("all targets"));
    for seed in first.. {
        let before = Instant::now();
        if verdict(&fuzz, target, seed) == ExitCode::FAILURE {
            return ExitCode::FAILURE;
        }
        slowest = slowest.max((before.elapsed(), seed));
        let ends = until.is_some_and(|until| began.elapsed() >= until);
        if ends || told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            let (longest, which) = slowest;
            println!(
                "{} cases in {} s, nothing found; the slowest, {which}, took {} ms",
                seed - first + 1,
                began.elapsed().as_secs(),
                longest.as_millis()
            );
        }
        if ends {
            break;
        }
    }
    ExitCode::SUCCESS
}

fn verdict(fuzz: &Fuzz, target: Option<&str>, seed: u64) -> ExitCode {
    match fuzz.case(target, seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(name) => {
            println!("{name}: case {seed} fails; again: make fuzz ARGS=\"--target {name} --seed {seed}\"");
            ExitCode::FAILURE
        }
    }
}
