//! Who computes other bits is refused, by its fingerprint.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::process::Command;

use lockstep_tests::cluster::{Oracle, Process, RunFile, Site};

/// A kernel that every x86-64 processor has, beside the default one.
const OTHER: &str = "Nehalem";
const KEEP: &str = "LOCKSTEP_TEST_KEEP_BLAS";

fn start(site: &Site, name: &str, mut command: Command, environment: &[(&str, &str)]) -> Process {
    command.envs(environment.iter().copied());
    Process::start(command, name, site.folder())
}

/// A coordinator, a first worker, and a worker that stays under an environment of its own.
fn refused(environment: &[(&str, &str)], named: &str) {
    let site = Site::new(&RunFile { epochs: 300, ..RunFile::default() }.text());
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut good = site.worker("good", address, &[]);
    site.until_logged("worker good on", 1);
    let mut command = site.worker_command("other", address, &[]);
    command.env(KEEP, "1");
    let mut other = start(&site, "other", command, environment);
    assert_eq!(site.end(&mut other).code(), Some(1), "{}", other.errors());
    site.until_logged("worker other was refused", 1);
    for numerics in [named, "x86-64/Haswell/1"] {
        assert!(other.errors().contains(numerics), "{numerics}: {}", other.errors());
        assert!(site.log().contains(numerics), "{numerics}: {}", site.log());
    }
    site.succeed(&mut coordinator);
    site.succeed(&mut good);
    assert_eq!(site.results().workers.joined, 1);
    Oracle::new(&site).assert_equal(&site);
}

#[test]
fn another_kernel_is_refused() {
    refused(&[("OPENBLAS_CORETYPE", OTHER)], &format!("x86-64/{OTHER}/1"));
}

#[test]
fn two_threads_are_refused() {
    refused(&[("OPENBLAS_NUM_THREADS", "2")], "x86-64/Haswell on 2 threads/1");
}

#[test]
fn relaxed_numerics_take_it() {
    let text = RunFile { epochs: 300, ..RunFile::default() }
        .text()
        .replace("[cluster]", "[cluster]\nnumerics = \"relaxed\"");
    let site = Site::new(&text);
    let (mut coordinator, address) = site.coordinator(None, &[]);
    // The first one's numerics are the run's: it waits alone until the other is there too.
    let mut good = site.worker("good", address, &[]);
    site.until_logged("worker good on", 1);
    good.signal(nix::sys::signal::Signal::SIGSTOP);
    let mut command = site.worker_command("other", address, &[]);
    command.env(KEEP, "1");
    let mut other = start(&site, "other", command, &[("OPENBLAS_CORETYPE", OTHER)]);
    site.until_logged("worker other takes part although it computes other bits", 1);
    good.signal(nix::sys::signal::Signal::SIGCONT);
    site.succeed(&mut coordinator);
    site.succeed(&mut other);
    assert!(site.log().contains(&format!("x86-64/{OTHER}/1")), "{}", site.log());
}

/// Whatever environment a process is started in, it executes itself again under the run's.
#[test]
fn processes_pin_their_environment() {
    let site = Site::new(&RunFile::default().text());
    let strange = [("OPENBLAS_CORETYPE", OTHER), ("OPENBLAS_NUM_THREADS", "2"), ("OMP_NUM_THREADS", "2")];
    let mut command =
        site.command(&["coordinator", "run.toml", "--run-dir", "run", "--listen", "127.0.0.1:0"]);
    command.envs(strange);
    let mut coordinator = Process::start(command, "coordinator", site.folder());
    let address = site.until("it listens", || {
        let errors = coordinator.errors();
        errors.split_once("listening on ")?.1.split_once(';')?.0.parse().ok()
    });
    let mut other = start(&site, "other", site.worker_command("other", address, &[]), &strange);
    let mut bare = site.worker_command("bare", address, &[]);
    bare.env_remove("OPENBLAS_CORETYPE").env_remove("OPENBLAS_NUM_THREADS");
    let mut bare = Process::start(bare, "bare", site.folder());
    site.succeed(&mut coordinator);
    // The run may be over before the second one is ready.
    let codes = [site.end(&mut other).code(), site.end(&mut bare).code()];
    assert!(codes.contains(&Some(0)), "{codes:?}\n{}", site.logs());
    Oracle::new(&site).assert_equal(&site);
}

#[test]
fn the_run_file_may_name_another_kernel() {
    let digest = |kernel: &str, workers: &str| {
        let run = RunFile::default().text().replace("[cluster]", &format!("[cluster]\nkernel = {kernel:?}"));
        let site = Site::new(&run);
        let (status, _) = site.trained(&["--workers", workers]);
        assert!(status.success(), "{}", site.logs());
        let results = site.results();
        assert_eq!(results.numerics, format!("x86-64/{kernel}/1"));
        results.digest
    };
    let other = digest(OTHER, "1");
    assert_eq!(digest(OTHER, "3"), other);
    assert_ne!(digest("Haswell", "2"), other);
}

#[test]
fn a_kernel_that_is_not_there_is_named() {
    let site = Site::new(&RunFile::default().text().replace("[cluster]", "[cluster]\nkernel = \"Haswel\""));
    let (status, train) = site.trained(&[]);
    assert_eq!(status.code(), Some(78), "{}", train.errors());
    for word in ["cluster.kernel", "\"Haswel\"", "name a kernel"] {
        assert!(train.errors().contains(word), "{}", train.errors());
    }
}
