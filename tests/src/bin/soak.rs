//! Simulates clusters and faults without end; prints the command that reproduces a failure.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use lockstep_tests::sim::{self, Tally};

#[derive(Parser)]
#[command(about = "Simulate clusters and faults without end")]
struct Options {
    /// Simulate this seed alone, which is how a failure is seen again
    #[arg(long)]
    seed: Option<u64>,
    /// The first seed [default: from the clock]
    #[arg(long)]
    from: Option<u64>,
    /// Stop after so many seeds
    #[arg(long)]
    count: Option<u64>,
    /// Simulations at a time
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> std::process::ExitCode {
    let options = Options::parse();
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() << 20);
    let (first, count) = match options.seed {
        Some(seed) => (seed, 1),
        None => (options.from.unwrap_or_else(clock), options.count.unwrap_or(u64::MAX)),
    };
    let simulate = if options.seed.is_some() { sim::replay } else { sim::simulate };
    let began = Instant::now();
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let told = Mutex::new((Instant::now(), Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    match simulate(first.saturating_add(number)) {
                        Err(failure) => {
                            failed.store(true, Ordering::Relaxed);
                            eprintln!("{failure}");
                        }
                        Ok(tally) => tell(&told, &tally, number + 1, began),
                    }
                }
            });
        }
    });
    if let Ok(told) = told.lock() {
        println!("{}", told.1);
    }
    if failed.into_inner() { std::process::ExitCode::FAILURE } else { std::process::ExitCode::SUCCESS }
}

/// Adds to the counts, and every ten seconds says how far it is.
fn tell(told: &Mutex<(Instant, Tally)>, tally: &Tally, done: u64, began: Instant) {
    let Ok(mut told) = told.lock() else { return };
    told.1.merge(tally);
    if told.0.elapsed() > Duration::from_secs(10) {
        told.0 = Instant::now();
        println!("{done} seeds, {:.0} a second", done as f64 / began.elapsed().as_secs_f64());
    }
}
