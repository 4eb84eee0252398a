//! `lockstep stop`: an admin ends a run or a worker's part in it, with no bit changed; nobody else does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use lockstep_tests::cluster::http::{get, samples};
use lockstep_tests::cluster::{Forge, Oracle, Paper, Process, RunFile, Site};
use nix::sys::signal::Signal;

/// Far longer than two commands take.
fn long() -> Site {
    Site::new(&RunFile { epochs: 800, heartbeat_ms: 300, ..RunFile::default() }.text())
}

fn endless() -> Site {
    Site::new(&RunFile { epochs: 1_000_000, heartbeat_ms: 300, ..RunFile::default() }.text())
}

/// Runs `lockstep stop`, and returns its code and what it says.
fn ask(site: &Site, address: SocketAddr, arguments: &[&str]) -> (i32, String) {
    let address = address.to_string();
    let mut stop = site.start("stop", &[&["stop", &address], arguments].concat());
    let status = site.end(&mut stop);
    (status.code().unwrap_or(-1), stop.output() + &stop.errors())
}

/// Asks for what must be refused, and waits for ten steps more.
fn refused(site: &Site, address: SocketAddr, arguments: &[&str], says: &str) {
    let (code, text) = ask(site, address, arguments);
    assert!(code == 1 && text.contains(says), "{arguments:?}: {code}: {text}");
    let before = site.step();
    site.until_step(before + 10);
}

fn goes_on_to_the_end(site: &Site) {
    let (status, _) = site.trained(&["--resume", "--workers", "1"]);
    assert!(status.success(), "{}", site.logs());
    Oracle::new(site).assert_equal(site);
}

fn ended_with_75(site: &Site, process: &mut Process) {
    assert_eq!(site.end(process).code(), Some(75), "{}", site.logs());
}

fn made_by_the_command(site: &Site) {
    for arguments in
        [&["certs", "init", "certs", "--name", "127.0.0.1"][..], &["certs", "admin", "eve", "--dir", "certs"]]
    {
        let made = site.command(arguments).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    }
}

/// The metrics of a coordinator that was started with `--admin 127.0.0.1:0`.
fn count(site: &Site, coordinator: &Process, reason: &str) -> f64 {
    let address = site.until("the admin listener is there", || coordinator.admin());
    let name = format!("lockstep_refused_messages_total{{reason=\"{reason}\"}}");
    samples(&get(address, "/metrics").body)[&name]
}

#[test]
fn an_admin_stops_a_run_and_a_resume_ends_with_its_digest() {
    let site = long();
    made_by_the_command(&site);
    let (mut coordinator, address) = site.coordinator(None, &["--certs", "certs/coordinator"]);
    let mut worker = site.worker("a", address, &["--certs", "certs/workers/worker"]);
    site.until_step(10);
    let (code, text) = ask(&site, address, &["--certs", "certs/admins/admin"]);
    assert!(code == 0 && text.starts_with("test stops in step "), "{code}: {text}");
    ended_with_75(&site, &mut coordinator);
    ended_with_75(&site, &mut worker);
    goes_on_to_the_end(&site);
}

#[test]
fn whoever_is_no_admin_is_refused_and_counted() {
    let site = endless();
    made_by_the_command(&site);
    let (mut coordinator, address) =
        site.coordinator(None, &["--certs", "certs/coordinator", "--admin", "127.0.0.1:0"]);
    let by_worker = ["--certs", "certs/workers/worker"];
    let mut workers = ["a", "b"].map(|name| site.worker(name, address, &by_worker));
    site.until_step(10);
    refused(&site, address, &by_worker, "is a worker's, and only an admin may do this: use an admin's");
    refused(&site, address, &[&by_worker[..], &["--worker", "b"]].concat(), "only an admin may do this");
    refused(&site, address, &[], "the coordinator speaks TLS");
    site.until("both are counted", || (count(&site, &coordinator, "not_admin") == 2.0).then_some(()));
    assert!(site.log().contains("was refused: a call that only an admin may make"), "{}", site.log());

    // An admin is no worker.
    let mut intruder = site.worker("c", address, &["--certs", "certs/admins/admin"]);
    assert_eq!(site.end(&mut intruder).code(), Some(1));
    let errors = intruder.errors();
    assert!(errors.contains("is an admin's, which may stop the run and not work in it"), "{errors}");
    site.until("it is counted", || (count(&site, &coordinator, "not_worker") == 1.0).then_some(()));

    // One whose certificate is revoked is nobody.
    let revoked = site.command(&["certs", "revoke", "eve", "--dir", "certs"]).output().unwrap();
    assert!(revoked.status.success(), "{revoked:?}");
    site.until("the revocation is known", || {
        let (code, text) = ask(&site, address, &["--certs", "certs/admins/eve", "--worker", "nobody"]);
        (code == 1 && text.contains("is revoked")).then_some(())
    });

    let (code, text) = ask(&site, address, &["--certs", "certs/admins/admin"]);
    assert_eq!(code, 0, "{text}");
    ended_with_75(&site, &mut coordinator);
    workers.iter_mut().for_each(|worker| ended_with_75(&site, worker));
    let log = site.log();
    assert!(log.contains("admin \"CN=admin\" (127.0.0.1) asks the run to stop"), "{log}");
    assert!(!log.contains("worker c on"), "{log}");
}

#[test]
fn a_worker_that_is_asked_to_leave_hands_its_shards_over() {
    let site = long();
    made_by_the_command(&site);
    let (mut coordinator, address) = site.coordinator(None, &["--certs", "certs/coordinator"]);
    let certs = ["--certs", "certs/workers/worker"];
    let [mut first, mut second] = ["first", "second"].map(|name| site.worker(name, address, &certs));
    site.until_logged("joined with", 2);
    site.until_step(10);
    let admin = ["--certs", "certs/admins/admin", "--worker"];
    let (code, text) = ask(&site, address, &[&admin[..], &["third"]].concat());
    assert!(code == 2 && text.contains("no worker of that name"), "{code}: {text}");
    assert!(text.contains("first") && text.contains("second"), "{text}");
    let (code, text) = ask(&site, address, &[&admin[..], &["second", "--json"]].concat());
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &told["run"], &told["worker"], &told["staying"]),
        (0, &"test".into(), &"second".into(), &1.into())
    );
    ended_with_75(&site, &mut second);
    assert!(second.errors().contains("stopped, as it was asked to"), "{}", second.errors());
    site.until_logged("worker second has left", 1);
    site.succeed(&mut coordinator);
    site.succeed(&mut first);
    assert_eq!(site.results().workers.lost, 0, "{}", site.log());
    Oracle::new(&site).assert_equal(&site);
}

/// Whoever has the join token is a worker; the admin's certificate is made with it.
#[test]
fn a_join_token_alone_stops_nothing() {
    let site = endless();
    let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let (mut coordinator, listening) = site.coordinator(Some(anywhere), &[]);
    let address = SocketAddr::from(([127, 0, 0, 1], listening.port()));
    let line = site.until("the join line is printed", || {
        let errors = coordinator.errors();
        let (_, rest) = errors.split_once("lockstep worker --coordinator ")?;
        rest.contains('\n').then(|| rest.lines().next().unwrap().to_owned())
    });
    let join: Vec<&str> = line.split(' ').skip(1).collect();
    let mut worker = site.worker("a", address, &join);
    site.until_step(10);
    refused(&site, address, &join, "show the run's admin certificate too (--certs RUN_DIR/secrets/admin)");
    // One by another authority is worth nothing, neither is the right one without the token.
    Forge::default().write(&site.folder().join("forged"), &Paper::admin());
    refused(&site, address, &[&join[..], &["--certs", "forged"]].concat(), "does not know the authority");
    let (code, text) = ask(&site, address, &["--certs", "run/secrets/admin"]);
    assert_eq!(code, 1, "{text}");
    let mut intruder = site.worker("b", address, &[&join[..], &["--certs", "run/secrets/admin"]].concat());
    assert_eq!(site.end(&mut intruder).code(), Some(2), "{}", intruder.errors());

    let key = site.run_dir().join("secrets/admin/tls.key");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, text) = ask(&site, address, &[&join[..], &["--certs", "run/secrets/admin"]].concat());
    assert!(code == 0, "{code}: {text}");
    ended_with_75(&site, &mut coordinator);
    ended_with_75(&site, &mut worker);
    let log = site.log();
    assert!(log.contains("a call that only an admin may make"), "{log}");
    assert!(log.contains("a certificate of another authority"), "{log}");
    assert!(log.contains("admin \"CN=lockstep admin\" (127.0.0.1) asks the run to stop"), "{log}");
}

#[test]
fn on_the_loopback_whoever_is_there_may_stop() {
    let site = long();
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut worker = site.worker("a", address, &[]);
    site.until_step(10);
    let (code, text) = ask(&site, address, &[]);
    assert!(code == 0 && text.contains("--resume goes on"), "{code}: {text}");
    ended_with_75(&site, &mut coordinator);
    ended_with_75(&site, &mut worker);
    assert!(site.log().contains("somebody on this machine (127.0.0.1) asks the run to stop"));
    let (code, text) = ask(&site, address, &[]);
    assert_eq!(code, 1, "nobody is there: {text}");
    goes_on_to_the_end(&site);
}

/// Not even from the coordinator's own machine: what comes over the loopback may have been passed on.
#[test]
fn over_plain_text_across_a_network_nobody_may_stop() {
    let site = endless();
    let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let (mut coordinator, address) =
        site.coordinator(Some(anywhere), &["--insecure", "--admin", "127.0.0.1:0"]);
    let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
    let mut worker = site.worker("a", address, &[]);
    site.until_step(10);
    for arguments in [&[][..], &["--insecure"], &["--worker", "a"]] {
        refused(&site, address, arguments, "over plain text across a network nobody is known");
    }
    site.until("all are counted", || (count(&site, &coordinator, "not_admin") == 3.0).then_some(()));
    coordinator.signal(Signal::SIGTERM);
    ended_with_75(&site, &mut coordinator);
    ended_with_75(&site, &mut worker);
    assert!(!site.log().contains("asks"), "{}", site.log());
}
