//! Numbers that are not finite never reach the weights.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use lockstep_tests::cluster::{Oracle, RunFile, Site};
use nix::sys::signal::Signal;

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

/// Which steps are left out follows from the losses alone: on a cluster, after a resume, in `verify`.
#[test]
fn steps_whose_loss_is_too_high_are_left_out_alike() {
    let run = RunFile { epochs: 4, every_steps: 7, ..RunFile::default() };
    let rule = "[train]\nloss_spike = { factor = 1.02, window = 5 }";
    let site = Site::new(&run.text().replace("[train]", rule));
    let mut stopped = site.train(&["--workers", "2"]);
    site.until_logged("was left out: its loss", 2);
    stopped.signal(Signal::SIGTERM);
    site.end(&mut stopped);
    let (status, train) = site.trained(&["--workers", "1", "--resume"]);
    assert_eq!(status.code(), Some(0), "{}", train.errors());
    Oracle::new(&site).assert_equal(&site);
    let mut verify = site.start("verify", &["verify", "run", "--steps", "21..48"]);
    assert_eq!(site.end(&mut verify).code(), Some(0), "{}{}", verify.output(), verify.errors());
}
