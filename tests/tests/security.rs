//! Who may join, over certificates and tokens: honest workers go on, whoever else comes is refused with a
//! reason, and counted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lockstep_proto::tls::{Identity, door};
use lockstep_tests::cluster::{Forge, Oracle, Paper, Process, RunFile, Site, knock, secrets_are_nowhere};
use nix::sys::signal::Signal;
use rustls::version::TLS13;

/// A run that goes on until it is stopped.
fn endless() -> String {
    RunFile { epochs: 1_000_000, heartbeat_ms: 300, ..RunFile::default() }.text()
}

/// Waits for ten steps more.
fn goes_on(site: &Site) {
    let before = site.step();
    site.until_step(before + 10);
}

/// Starts a worker that must fail, and returns its code and what it says.
fn refused(site: &Site, name: &str, address: SocketAddr, arguments: &[&str]) -> (i32, String) {
    let mut worker = site.worker(name, address, arguments);
    let status = site.end(&mut worker);
    (status.code().unwrap_or(-1), worker.errors())
}

fn stop(site: &Site, coordinator: &mut Process) {
    coordinator.signal(Signal::SIGTERM);
    assert_eq!(site.end(coordinator).code(), Some(75), "{}", site.logs());
}

fn made_by_the_command(site: &Site) {
    let made = site.command(&["certs", "init", "certs", "--name", "127.0.0.1"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(said.contains("at 127.0.0.1, localhost, ::1\n"), "each name once: {said}");
}

#[test]
fn certificates_and_a_token_change_no_bit() {
    let site = Site::new(&RunFile::default().text());
    made_by_the_command(&site);
    site.write("token", "5".repeat(64));
    fs::set_permissions(site.folder().join("token"), fs::Permissions::from_mode(0o600)).unwrap();
    let (mut coordinator, address) =
        site.coordinator(None, &["--certs", "certs/coordinator", "--token-file", "token"]);
    let options = ["--certs", "certs/workers/worker", "--token-file", "token"];
    let mut workers = ["a", "b"].map(|name| site.worker(name, address, &options));
    site.succeed(&mut coordinator);
    workers.iter_mut().for_each(|worker| site.succeed(worker));
    assert!(!site.log().contains("refused"), "{}", site.log());
    Oracle::new(&site).assert_equal(&site);
    // Nor does a run that is finished hold a secret: its results, its record, its logs.
    let secrets = [&"5".repeat(64)[..], "BEGIN PRIVATE KEY"];
    assert!(site.run_dir().join("results.json").exists());
    secrets_are_nowhere(
        site.folder(),
        &secrets,
        &[&site.folder().join("certs"), &site.folder().join("token")],
    );
}

#[test]
fn whoever_has_no_good_certificate_is_refused_and_counted() {
    let site = Site::new(&endless());
    let (ours, theirs) = (Forge::default(), Forge::default());
    let folder = |name: &str| site.folder().join(name);
    ours.write(&folder("coordinator"), &Paper::coordinator());
    ours.write(&folder("good"), &Paper::worker());
    ours.write(&folder("expired"), &Paper { days: (-10, -1), ..Paper::worker() });
    ours.write(&folder("early"), &Paper { days: (1, 10), ..Paper::worker() });
    ours.write(&folder("as-coordinator"), &Paper::coordinator());
    ours.write(&folder("no-usages"), &Paper { usages: vec![], ..Paper::worker() });
    ours.write(&folder("astray"), &Paper::worker());
    fs::write(folder("astray").join("ca.crt"), theirs.certificate()).unwrap();
    theirs.write(&folder("foreign"), &Paper::worker());
    fs::write(folder("foreign").join("ca.crt"), ours.certificate()).unwrap();
    ours.write(&folder("exposed"), &Paper::worker());
    fs::set_permissions(folder("exposed").join("tls.key"), fs::Permissions::from_mode(0o644)).unwrap();
    ours.write(&folder("torn"), &Paper::worker());
    fs::copy(folder("good").join("tls.key"), folder("torn").join("tls.key")).unwrap();
    site.write("token", "5".repeat(64));
    fs::set_permissions(folder("token"), fs::Permissions::from_mode(0o600)).unwrap();

    let (mut coordinator, address) = site.coordinator(None, &["--certs", "coordinator"]);
    let mut steady = site.worker("steady", address, &["--certs", "good"]);
    site.until_logged("worker steady on", 1);
    let pin = format!("sha256:{}", "0".repeat(64));
    let by_name = format!("localhost:{}", address.port());
    // Name, arguments, code, what the worker says, and why the coordinator has refused it.
    let certs = |folder: &'static str| ["--certs", folder].to_vec();
    let cases: [(&str, Vec<&str>, i32, &str, &str); 10] = [
        ("plain", vec![], 1, "the coordinator speaks TLS", "plain text, and this port speaks TLS"),
        (
            "expired",
            certs("expired"),
            1,
            "has expired or is not yet valid",
            "has expired or is not yet valid",
        ),
        ("early", certs("early"), 1, "has expired or is not yet valid", "has expired or is not yet valid"),
        ("foreign", certs("foreign"), 1, "does not know the authority", "a certificate of another authority"),
        (
            "astray",
            certs("astray"),
            1,
            "of another authority than ca.crt",
            "does not take this coordinator's",
        ),
        ("as-coordinator", certs("as-coordinator"), 2, "is not a worker's certificate", ""),
        ("no-usages", certs("no-usages"), 2, "clientAuth", ""),
        ("exposed", certs("exposed"), 2, "chmod 600", ""),
        ("torn", certs("torn"), 2, "does not fit tls.crt", ""),
        (
            "pinned",
            vec!["--ca-fingerprint", &pin, "--token-file", "token"],
            1,
            "and --ca-fingerprint says another",
            "does not take this coordinator's",
        ),
    ];
    for (name, arguments, code, says, why) in cases {
        let (found, errors) = refused(&site, name, address, &arguments);
        assert!(found == code && errors.contains(says), "{name}: {found}: {errors}");
        if !why.is_empty() {
            site.until_logged(why, 1);
        }
        goes_on(&site);
    }
    let mut other = site.start("by-name", &["worker", "--coordinator", &by_name, "--certs", "good"]);
    assert_eq!(site.end(&mut other).code(), Some(1));
    let errors = other.errors();
    assert!(errors.contains("is not for \"localhost\" but for") && errors.contains("127.0.0.1"), "{errors}");
    goes_on(&site);

    stop(&site, &mut coordinator);
    assert_eq!(site.end(&mut steady).code(), Some(75));
    let log = site.log();
    for line in [
        "1 connections were refused: plain text, and this port speaks TLS",
        "2 connections were refused: a certificate that has expired or is not yet valid",
        "1 connections were refused: a certificate of another authority",
        "3 connections were refused: it does not take this coordinator's certificate",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
    assert!(!log.contains("worker steady is gone") && !log.contains("panicked"), "{log}");
}

#[test]
fn a_worker_that_is_revoked_is_put_out_and_stays_out() {
    let site = Site::new(&endless());
    made_by_the_command(&site);
    let made = site.command(&["certs", "worker", "bad", "--dir", "certs"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let (mut coordinator, address) = site.coordinator(None, &["--certs", "certs/coordinator"]);
    let mut steady = site.worker("steady", address, &["--certs", "certs/workers/worker"]);
    let mut bad = site.worker("bad", address, &["--certs", "certs/workers/bad"]);
    site.until_logged("worker bad on", 1);
    let revoked = site.command(&["certs", "revoke", "bad", "--dir", "certs"]).output().unwrap();
    assert!(revoked.status.success(), "{revoked:?}");
    assert_eq!(site.end(&mut bad).code(), Some(1), "{}", site.logs());
    assert!(bad.errors().contains("is revoked"), "{}", bad.errors());
    site.until_logged("a certificate was revoked: ", 1);
    site.until_logged("a certificate that is revoked", 1);
    goes_on(&site);
    assert!(!site.log().contains("worker steady is gone"), "{}", site.log());
    // A file that makes no sense changes nothing.
    let path = site.folder().join("certs/coordinator/revoked");
    fs::write(&path, "what is this?\n").unwrap();
    site.until_logged("what was read before stays in force", 1);
    let (code, errors) = refused(&site, "bad-again", address, &["--certs", "certs/workers/bad"]);
    assert!(code == 1 && errors.contains("is revoked"), "{errors}");
    goes_on(&site);
    stop(&site, &mut coordinator);
    site.end(&mut steady);
}

/// As cert-manager does it, a while before the old ones expire.
#[test]
fn renewed_certificates_are_taken_up_while_a_run_goes_on() {
    let site = Site::new(&endless());
    made_by_the_command(&site);
    let own = |of: &str| site.folder().join("certs").join(of);
    let shown = |of: &str| Identity::read(&own(of)).unwrap().chain[0].clone();
    let (mut coordinator, address) = site.coordinator(None, &["--certs", "certs/coordinator"]);
    let mut steady = site.worker("steady", address, &["--certs", "certs/workers/worker"]);
    site.until_logged("worker steady on", 1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let seen = || {
        let certs = own("workers/worker");
        let stream = runtime.block_on(knock::tls(address, Some(&certs), &TLS13, door::ALPN)).unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let before = shown("coordinator");
    assert_eq!(seen(), before);
    for arguments in [
        &["certs", "init", "certs", "--name", "127.0.0.1", "--renew", "--days", "30"][..],
        &["certs", "worker", "worker", "--dir", "certs", "--renew"],
    ] {
        let made = site.command(arguments).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    let after = shown("coordinator");
    assert_ne!(before, after);
    site.until("the new certificate is shown", || (seen() == after).then_some(()));
    let mut late = site.worker("late", address, &["--certs", "certs/workers/worker"]);
    site.until_logged("worker late on", 1);
    goes_on(&site);
    assert!(!site.log().contains("worker steady is gone"), "{}", site.log());

    // What has gone without --renew is refused, and a certificate that nobody made cannot be revoked.
    for (arguments, says) in [
        (&["certs", "worker", "worker", "--dir", "certs"][..], "--renew replaces it"),
        (&["certs", "init", "certs"], "--renew the coordinator's anew"),
        (&["certs", "revoke", "nobody", "--dir", "certs"], "nobody"),
        (&["certs", "revoke", "coordinator", "--dir", "certs"], "make a new authority"),
    ] {
        let refused = site.command(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(2) && errors.contains(says), "{arguments:?}: {errors}");
    }
    // One from elsewhere is revoked by its file.
    let certificate = own("workers/worker/tls.crt");
    let arguments = ["certs", "revoke", "--certificate", certificate.to_str().unwrap(), "--dir", "certs"];
    let revoked = site.command(&arguments).output().unwrap();
    assert!(revoked.status.success(), "{revoked:?}");
    assert_eq!(site.end(&mut late).code(), Some(1), "{}", site.logs());
    goes_on(&site);
    stop(&site, &mut coordinator);
    site.end(&mut steady);
}

/// ECDSA, RSA and Ed25519, and an authority between: what openssl makes, as its manual says.
#[test]
fn certificates_by_openssl_are_taken() {
    if std::process::Command::new("openssl").arg("version").output().is_err() {
        println!("NOT TESTED: there is no openssl");
        return;
    }
    let site = Site::new(&RunFile::default().text());
    site.write("make.sh", include_str!("security/openssl.sh"));
    let made = std::process::Command::new("bash").arg("make.sh").current_dir(site.folder()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (mut coordinator, address) = site.coordinator(None, &["--certs", "coordinator"]);
    // An admin may ask; there is nobody yet of whom.
    let listens = address.to_string();
    for (certs, code, says) in [("admin", 2, "here are: nobody"), ("rsa", 1, "only an admin may do this")] {
        let mut stop = site.start("stop", &["stop", &listens, "--worker", "ecdsa", "--certs", certs]);
        assert_eq!(site.end(&mut stop).code(), Some(code), "{}", stop.errors());
        assert!(stop.errors().contains(says), "{}", stop.errors());
    }
    let mut workers = ["ecdsa", "rsa", "ed25519"].map(|name| site.worker(name, address, &["--certs", name]));
    site.succeed(&mut coordinator);
    workers.iter_mut().for_each(|worker| site.succeed(worker));
    assert_eq!(site.results().workers.joined, 3, "{}", site.log());
}

#[test]
fn a_coordinator_refuses_to_start_on_bad_files() {
    let site = Site::new(&RunFile::default().text());
    let forge = Forge::default();
    let folder = site.folder().join("certs");
    type Case<'a> = (Paper, &'a dyn Fn(&Path), &'a str);
    let cases: [Case<'_>; 4] = [
        (Paper { days: (-10, -1), ..Paper::coordinator() }, &|_| {}, "and not now: make a new one"),
        (Paper::worker(), &|_| {}, "is not a coordinator's certificate"),
        (
            Paper::coordinator(),
            &|folder| {
                let mode = fs::Permissions::from_mode(0o604);
                fs::set_permissions(folder.join("tls.key"), mode).unwrap();
            },
            "every user of this machine may read it (mode 604): chmod 600",
        ),
        (
            Paper::coordinator(),
            &|folder| fs::remove_file(folder.join("ca.crt")).unwrap(),
            "ca.crt: cannot be read",
        ),
    ];
    for (paper, spoil, says) in cases {
        forge.write(&folder, &paper);
        spoil(&folder);
        let mut coordinator =
            site.start("coordinator", &["coordinator", "run.toml", "--run-dir", "run", "--certs", "certs"]);
        assert_eq!(site.end(&mut coordinator).code(), Some(2), "{}", coordinator.errors());
        assert!(coordinator.errors().contains(says), "{says}: {}", coordinator.errors());
        assert!(!site.folder().join("run").exists(), "nothing was begun");
    }
}
