//! A bounded slice of `make fuzz`: the same cases in every run, as many of each target.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use lockstep_tests::fuzz::Fuzz;

#[test]
fn foreign_bytes_never_panic() {
    let fuzz = Fuzz::new();
    for target in Fuzz::targets() {
        for seed in 0..200 {
            if let Err(target) = fuzz.case(Some(target), seed) {
                panic!("case {seed} fails; again: make fuzz ARGS=\"--target {target} --seed {seed}\"");
            }
        }
    }
}

/// What cases begin with is valid, or they would not come far.
#[test]
fn the_corpus_is_read() {
    Fuzz::new().check_corpus();
}
