//! `make chaos`: real processes and faults of every kind, against one undisturbed process.

use clap::Parser;
use lockstep_tests::chaos::{checkpoints, storm};
use lockstep_tests::cluster::Moments;

/// Kills, stops, cuts, throttles and fills; the bits must be those of an undisturbed run.
#[derive(Debug, Parser)]
struct Arguments {
    /// Of the faults [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Workers that are killed in one run
    #[arg(long, default_value_t = 100)]
    kills: u64,
    /// Of each other fault in that run
    #[arg(long, default_value_t = 10)]
    others: u64,
    /// Coordinators that are killed in another run, most of them while they write a checkpoint
    #[arg(long, default_value_t = 50)]
    coordinators: usize,
    /// Again and again, with other seeds
    #[arg(long)]
    forever: bool,
}

fn main() {
    let Arguments { seed, kills, others, coordinators, forever } = Arguments::parse();
    for round in 0.. {
        let moments = || seed.map_or_else(Moments::new, |seed| Moments::from_seed(seed.wrapping_add(round)));
        if kills + others > 0 {
            let report = storm::run(moments(), kills, others);
            storm::complete(&report, kills, others);
            println!("storm: {report}");
        }
        if coordinators > 0 {
            println!("checkpoints: {}", checkpoints::run(moments(), coordinators));
        }
        if !forever {
            return;
        }
    }
}
