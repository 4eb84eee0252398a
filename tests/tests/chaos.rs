//! A slice of `make chaos`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use lockstep_tests::chaos::checkpoints::{self, Phase};
use lockstep_tests::chaos::storm;
use lockstep_tests::cluster::Moments;

#[test]
fn every_fault_at_once_changes_no_bit() {
    let report = storm::run(Moments::new(), 6, 1);
    println!("{report}");
    storm::complete(&report, 6, 1);
}

#[test]
fn a_coordinator_killed_while_it_writes_loses_nothing() {
    let report = checkpoints::run(Moments::new(), 6);
    println!("{report}");
    assert_eq!(report.phases.values().sum::<u64>(), 6);
    assert!(report.phases.keys().any(|phase| *phase != Phase::None), "{report}");
}
