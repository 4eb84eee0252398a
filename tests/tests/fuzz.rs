//! A bounded slice of `make fuzz`: the same cases in every run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use lockstep_tests::fuzz::Fuzz;

#[test]
fn foreign_bytes_never_panic() {
    let fuzz = Fuzz::new();
    for seed in 0..3000 {
        if let Err(reader) = fuzz.case(seed) {
            panic!("{reader}: case {seed} fails; again: make fuzz ARGS=\"--seed {seed}\"");
        }
    }
}
