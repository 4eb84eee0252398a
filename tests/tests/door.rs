//! The door itself: what is said before HTTP/2, strangers who are slow, silent or many, and the join token.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use lockstep_proto::tls::{Fingerprint, Identity, Token, door};
use lockstep_tests::cluster::http::get;
use lockstep_tests::cluster::{Forge, Paper, Process, RunFile, Site, knock, secrets_are_nowhere};
use nix::sys::signal::Signal;
use rustls::version::{TLS12, TLS13};

/// A run that goes on until it is stopped.
fn endless() -> Site {
    Site::new(&RunFile { epochs: 1_000_000, heartbeat_ms: 300, ..RunFile::default() }.text())
}

/// Waits for ten steps more.
fn goes_on(site: &Site) {
    let before = site.step();
    site.until_step(before + 10);
}

fn stop(site: &Site, coordinator: &mut Process, worker: &mut Process) {
    coordinator.signal(Signal::SIGTERM);
    assert_eq!(site.end(coordinator).code(), Some(75), "{}", site.logs());
    site.end(worker);
    let log = site.log();
    assert!(!log.contains("worker steady is gone") && !log.contains("panicked"), "{log}");
}

fn refused(site: &Site, name: &str, address: SocketAddr, arguments: &[&str]) -> (i32, String) {
    let mut worker = site.worker(name, address, arguments);
    let status = site.end(&mut worker);
    (status.code().unwrap_or(-1), worker.errors())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

fn secret(site: &Site, name: &str, text: &str) {
    site.write(name, text);
    fs::set_permissions(site.folder().join(name), fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn roles_versions_and_missing_certificates_are_told_apart() {
    let site = endless();
    let forge = Forge::default();
    let folder = |name: &str| site.folder().join(name);
    forge.write(&folder("coordinator"), &Paper::coordinator());
    forge.write(&folder("good"), &Paper::worker());
    forge.write(&folder("no-usages"), &Paper { usages: vec![], ..Paper::worker() });
    let both = Paper { names: vec!["127.0.0.1"], ..Paper::worker() };
    forge.write(&folder("named-worker"), &both);
    forge.write(&folder("named-no-usages"), &Paper { usages: vec![], ..both });
    let (mut coordinator, address) = site.coordinator(None, &["--certs", "coordinator"]);
    let mut steady = site.worker("steady", address, &["--certs", "good"]);
    site.until_logged("worker steady on", 1);

    let runtime = runtime();
    let knocks = |certs: Option<&str>, version, protocol: &'static [u8]| {
        let certs = certs.map(folder);
        runtime.block_on(async {
            let mut stream = knock::tls(address, certs.as_deref(), version, protocol).await?;
            knock::answer(&mut stream, &door::NO_PROOF).await
        })
    };
    assert_eq!(knocks(Some("good"), &TLS13, door::ALPN).unwrap(), door::Answer::Enter as u8);
    for (certs, version, protocol, why) in [
        (None, &TLS13, door::ALPN, "no certificate"),
        (Some("coordinator"), &TLS13, door::ALPN, "a certificate that is not a worker's"),
        (Some("no-usages"), &TLS13, door::ALPN, "a certificate that is not a worker's"),
        (Some("good"), &TLS12, door::ALPN, "another version of TLS or of Lockstep"),
        (Some("good"), &TLS13, b"h2".as_slice(), "another version of TLS or of Lockstep"),
    ] {
        assert!(knocks(certs, version, protocol).is_err(), "{certs:?} {version:?}");
        site.until_logged(why, 1);
        goes_on(&site);
    }
    // The reverse: a worker meets a worker that plays the coordinator.
    for name in ["named-worker", "named-no-usages"] {
        let other = runtime.block_on(knock::pretend(&folder(name)));
        let (code, errors) = refused(&site, "misled", other, &["--certs", "good"]);
        assert!(code == 1 && errors.contains("is not a coordinator's"), "{name}: {errors}");
    }
    stop(&site, &mut coordinator, &mut steady);
    for line in [
        "1 connections were refused: no certificate",
        "2 connections were refused: a certificate that is not",
    ] {
        assert!(site.log().contains(line), "{line}\n{}", site.log());
    }
}

#[test]
fn tls_to_a_port_of_plain_text_is_told_to_both() {
    let site = endless();
    Forge::default().write(&site.folder().join("good"), &Paper::worker());
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut steady = site.worker("steady", address, &[]);
    site.until_logged("worker steady on", 1);
    let (code, errors) = refused(&site, "tls", address, &["--certs", "good"]);
    assert!(code == 1 && errors.contains("the coordinator speaks plain text there"), "{errors}");
    site.until_logged("TLS, and this port speaks plain text", 1);
    TcpStream::connect(address).unwrap().write_all(&[0; 70_000]).ok();
    site.until_logged("neither TLS nor HTTP/2", 1);
    goes_on(&site);
    stop(&site, &mut coordinator, &mut steady);
    assert!(site.log().contains("1 connections were refused: TLS, and"), "{}", site.log());
}

/// None of them holds up the others, and each ends by itself.
#[test]
fn slow_and_silent_handshakes_hold_up_nobody() {
    let site = endless();
    let forge = Forge::default();
    forge.write(&site.folder().join("coordinator"), &Paper::coordinator());
    forge.write(&site.folder().join("good"), &Paper::worker());
    let (mut coordinator, address) = site.coordinator(None, &["--certs", "coordinator"]);
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let mut silent: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(address).unwrap()).collect();
    for (number, stream) in silent.iter_mut().enumerate().filter(|(number, _)| number % 3 == 0) {
        stream.write_all(&hello[..number % hello.len()]).unwrap();
    }
    let mut steady = site.worker("steady", address, &["--certs", "good"]);
    site.until_logged("worker steady on", 1);
    goes_on(&site);
    site.until_logged("too many connections at once", 1);
    site.until_logged("the handshake took too long", 1);
    goes_on(&site);
    drop(silent);
    stop(&site, &mut coordinator, &mut steady);
}

/// As many files as a process may have are open: those who are in go on, and it is said once.
#[test]
fn without_descriptors_the_run_goes_on() {
    let site = endless();
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut steady = site.worker("steady", address, &[]);
    site.until_logged("worker steady on", 1);
    goes_on(&site);
    let pid = coordinator.pid();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let limit = |files: usize| {
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &pid.to_string(), &format!("--nofile={files}:4096")]);
        prlimit.status().is_ok_and(|status| status.success())
    };
    if !limit(open + 2) {
        println!("NOT TESTED: there is no prlimit");
        return;
    }
    let strangers: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
    site.until_logged("no connection can be accepted", 1);
    goes_on(&site);
    assert_eq!(site.log().matches("no connection can be accepted").count(), 1);
    drop(strangers);
    assert!(limit(1024));
    let mut late = site.worker("late", address, &[]);
    site.until_logged("worker late on", 1);
    stop(&site, &mut coordinator, &mut steady);
    site.end(&mut late);
}

/// A low limit from the beginning: strangers never get as far as to take what the run needs.
#[test]
fn under_a_low_limit_of_files_strangers_are_turned_away() {
    let site = endless();
    let mut command =
        site.command(&["coordinator", "run.toml", "--run-dir", "run", "--listen", "127.0.0.1:0"]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 64; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    limited
        .current_dir(site.folder())
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command = limited;
    let mut coordinator = Process::start(command, "coordinator", site.folder());
    let address: SocketAddr = site.until("the coordinator listens", || {
        coordinator.errors().split_once("listening on ")?.1.split_once(';')?.0.parse().ok()
    });
    let mut steady = site.worker("steady", address, &[]);
    site.until_logged("worker steady on", 1);
    let mut strangers: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    strangers.iter_mut().for_each(|stream| drop(stream.write_all(b"PRI * HT")));
    site.until_logged("too many connections at once", 1);
    goes_on(&site);
    stop(&site, &mut coordinator, &mut steady);
}

/// The simple way, from the printed line on.
#[test]
fn the_join_line_lets_a_worker_in_and_nothing_less_does() {
    let site = endless();
    let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let (mut coordinator, listening) = site.coordinator(Some(anywhere), &["--admin", "127.0.0.1:0"]);
    let address = SocketAddr::from(([127, 0, 0, 1], listening.port()));
    let admin = site.until("the admin listener is there", || coordinator.admin());
    let line = site.until("the join line is printed", || {
        let errors = coordinator.errors();
        let line = errors.lines().find(|line| line.contains("lockstep worker --coordinator"))?;
        line.contains("--token-file").then(|| line.trim().to_owned())
    });
    let words: Vec<&str> = line.split(' ').collect();
    let ["lockstep", "worker", "--coordinator", _, options @ ..] = &words[..] else { panic!("{line}") };
    let ["--ca-fingerprint", pin, "--token-file", token_file] = options else { panic!("{line}") };
    let (mut steady, secrets) = (site.worker("steady", address, options), site.run_dir().join("secrets"));
    site.until_logged("worker steady on", 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&secrets), mode(&secrets.join("token")), mode(&secrets.join("tls.key"))),
        (0o700, 0o600, 0o600)
    );

    secret(&site, "other", &Token::random().unwrap());
    site.write("exposed", Token::random().unwrap());
    secret(&site, "short", "c0ffee");
    let other_pin = Fingerprint::of(b"another authority").to_string();
    let by =
        |pin: &str, file: &str| ["--ca-fingerprint", pin, "--token-file", file].map(String::from).to_vec();
    let cases: [(Vec<String>, i32, &str, &str); 7] = [
        (by(pin, "other"), 1, "join token is not the run's", "a wrong join token"),
        (
            by(&other_pin, token_file),
            1,
            "and --ca-fingerprint says another",
            "it does not take this coordinator's",
        ),
        (by(pin, "exposed"), 2, "chmod 600", ""),
        (by(pin, "short"), 2, "64 hexadecimal digits", ""),
        (vec!["--ca-fingerprint".into(), (*pin).into()], 2, "needs the run's join token", ""),
        (vec!["--token-file".into(), (*token_file).into()], 2, "--ca-fingerprint", ""),
        (vec![], 1, "the coordinator speaks TLS: use its join line", "plain text, and this port speaks TLS"),
    ];
    for (arguments, code, says, why) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (found, errors) = refused(&site, "stranger", address, &arguments);
        assert!(found == code && errors.contains(says), "{arguments:?}: {found}: {errors}");
        if !why.is_empty() {
            site.until_logged(why, 1);
        }
    }

    // A proof that was recorded on one connection is worth nothing on another.
    let token = fs::read_to_string(token_file).unwrap();
    runtime().block_on(async {
        let connect = || knock::tls(address, None, &TLS13, door::ALPN);
        let (mut first, mut second, mut third) =
            (connect().await.unwrap(), connect().await.unwrap(), connect().await.unwrap());
        let recorded = knock::proof(&first, &token);
        assert_eq!(knock::answer(&mut first, &recorded).await.unwrap(), door::Answer::Enter as u8);
        assert_eq!(knock::answer(&mut second, &recorded).await.unwrap(), door::Answer::WrongToken as u8);
        assert_eq!(knock::answer(&mut third, &door::NO_PROOF).await.unwrap(), door::Answer::NoToken as u8);
    });
    goes_on(&site);
    let told = ["/metrics", "/status", "/readyz", "/"].map(|path| get(admin, path).body);
    stop(&site, &mut coordinator, &mut steady);
    let log = site.log();
    for line in
        ["2 connections were refused: a wrong join token", "1 connections were refused: no join token"]
    {
        assert!(log.contains(line), "{line}\n{log}");
    }
    let key = fs::read_to_string(secrets.join("tls.key")).unwrap();
    let key: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let hidden = [token.trim(), &key[40..], "BEGIN PRIVATE KEY"];
    secrets_are_nowhere(site.folder(), &hidden, &[&secrets]);
    for text in &told {
        assert!(!hidden.iter().any(|secret| text.contains(secret)), "{text}");
    }

    // A resume has the same line.
    let (mut again, _) = site.coordinator(Some(anywhere), &["--resume"]);
    site.until("the same join line is printed", || again.errors().contains(*pin).then_some(()));
    again.kill();
    assert_eq!(fs::read_to_string(token_file).unwrap(), token);
    // Another run's token is another one.
    let elsewhere = endless();
    let (mut stranger, _) = elsewhere.coordinator(Some(anywhere), &[]);
    let (code, errors) = {
        let port = elsewhere.until("it listens", || {
            stranger.errors().split_once("listening on 0.0.0.0:")?.1.split_once(';')?.0.parse::<u16>().ok()
        });
        let its_pin = pin_of(&elsewhere.run_dir().join("secrets"));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        refused(&elsewhere, "guest", address, &["--ca-fingerprint", &its_pin, "--token-file", token_file])
    };
    assert!(code == 1 && errors.contains("join token is not the run's"), "{errors}");
    stranger.kill();
}

fn pin_of(secrets: &Path) -> String {
    let identity = Identity::read(secrets).unwrap();
    Fingerprint::of(&identity.authorities[0]).to_string()
}

#[test]
fn plain_text_across_a_network_must_be_asked_for() {
    let site = Site::new(&RunFile::default().text());
    // An address of documentation: nobody connects to it, nor is asked to.
    let (code, errors) = refused(&site, "a", "192.0.2.1:29500".parse().unwrap(), &[]);
    assert!(code == 2 && errors.contains("192.0.2.1:29500 is not this machine"), "{code}: {errors}");
    for option in ["--ca-fingerprint", "--certs", "--insecure"] {
        assert!(errors.contains(option), "{option}: {errors}");
    }
    let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let (mut coordinator, address) = site.coordinator(Some(anywhere), &["--insecure"]);
    site.until("it says so", || {
        coordinator.errors().contains("INSECURE: plain text on 0.0.0.0").then_some(())
    });
    assert!(site.log().contains("INSECURE"), "{}", site.log());
    let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
    let mut worker = site.worker("b", address, &["--insecure"]);
    site.succeed(&mut coordinator);
    site.succeed(&mut worker);
    assert!(!site.run_dir().join("secrets").exists());
    secret(&site, "token", &Token::random().unwrap());
    let (code, errors) = refused(&site, "c", address, &["--insecure", "--token-file", "token"]);
    assert!(code == 2 && errors.contains("plain text"), "{errors}");
}
