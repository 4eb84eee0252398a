//! A cluster in one thread, from one seed: the real coordinator, the real sessions and the real
//! arithmetic on a virtual network, against one process that computes the same run.
//!
//! ```text
//!                   ┌───────────────────── world: events in virtual time ─────────────────────┐
//!  dice (seed) ────▶│ process, host ──▶ network: delays, cuts ──▶ coordinator, hub             │
//!                   │ worker::Session       faults, injection       coordinator::Cluster, disk │
//!                   │ worker::compute                                                          │
//!                   └──────────────────────────────┬──────────────────────────────────────────┘
//!  case: run file, rows, oracle (core::Local) ─────▶ invariants, after every event
//! ```
//!
//! A seed is a run file (shards, batch, layers, optimizer, wire, clipping …), a cut into chunks, a
//! cluster, a network and a list of faults. The same seed is the same simulation, event by event.

// A harness stops at the first thing that it did not expect.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

mod case;
mod coordinator;
mod dice;
mod faults;
mod host;
mod hub;
mod injection;
mod invariants;
mod network;
mod process;
mod trace;
mod world;

pub use trace::{Failure, Tally};
pub use world::{Caught, lie, replay, simulate};

/// The names of everything that a simulation may do wrong: each must happen in some seed.
pub fn faults() -> Vec<String> {
    let more = [
        "nobody for a minute",
        "more workers than shards",
        "stopped and resumed",
        "disk full",
        "all lost in the middle of a streamed step",
        "a step whose numbers are not finite",
        "a step whose loss is too high",
        "weights that came in the middle of a forward pass",
        "what a late worker had was computed by another too",
        "a hung worker was put out",
        "fewer workers than the least",
        "a worker left",
        "two workers computed different numbers",
        "a worker that computed wrong numbers was put out",
    ];
    let all = faults::ALL.iter().map(|fault| format!("{fault:?}"));
    all.chain(more.map(String::from)).map(|fault| format!("fault: {fault}")).collect()
}
