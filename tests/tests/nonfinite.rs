//! Numbers that are not finite never reach the weights.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use lockstep_tests::cluster::{Oracle, RunFile, Site};

/// After one step the weights are finite, and far too large.
fn diverges() -> RunFile {
    RunFile { optimizer: "{ sgd = { lr = 1e30 } }", epochs: 1, ..RunFile::default() }
}

#[test]
fn the_run_stops_and_says_where() {
    let site = Site::new(&diverges().text());
    let (status, train) = site.trained(&["--workers", "2"]);
    assert_eq!(status.code(), Some(1), "{}", train.errors());
    let errors = train.errors();
    for words in ["step 1, shard ", " is not finite for training row ", "layers.", "on_nonfinite"] {
        assert!(errors.contains(words), "{words}: {errors}");
    }
}

#[test]
fn steps_are_left_out_alike_on_every_cluster() {
    let site = Site::new(&diverges().text().replace("[train]", "[train]\non_nonfinite = \"skip\""));
    let (status, train) = site.trained(&["--workers", "2"]);
    assert_eq!(status.code(), Some(0), "{}", train.errors());
    assert!(train.errors().contains("step 1 was left out"), "{}", train.errors());
    let oracle = Oracle::new(&site);
    oracle.assert_equal(&site);
    assert_eq!(site.results().digest, oracle.digest);
}
