//! `lockstep up`: workers started by ssh, for which a script stands in that runs the command here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lockstep_tests::cluster::{Oracle, Process, RunFile, Site, is_alive, lockstep};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Writes each command line down, and runs the last argument as sshd's shell would. The host "gone" is not
/// reached.
const SSH: &str = r#"#!/bin/sh
echo "$@" >>ssh.log
while [ "$1" != -- ]; do shift; done
[ "$2" = gone ] && { echo "ssh: connect to host gone: No route to host" >&2; exit 255; }
SSH_CONNECTION="127.0.0.1 5000 127.0.0.1 22" exec sh -c "echo \$\$ >>pids; $3"
"#;

fn site(run: &RunFile) -> Site {
    let site = Site::new(&run.text());
    site.write("ssh", SSH);
    fs::set_permissions(site.folder().join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    site
}

fn up(site: &Site, hosts: &str, arguments: &[&str]) -> Process {
    let program = lockstep().display().to_string();
    let fixed = ["up", "run.toml", "--run-dir", "run", "--hosts", hosts, "--listen", "127.0.0.1:0"];
    let ssh = ["--ssh", "./ssh -F none", "--remote-lockstep", &program, "--admin", "127.0.0.1:0"];
    site.start("up", &[&fixed[..], &ssh, arguments].concat())
}

#[test]
fn workers_of_several_hosts_train_and_no_command_line_has_the_token() {
    let site = site(&RunFile::default());
    let mut up = up(&site, "h1,me@h2:2,gone", &[]);
    site.succeed(&mut up);
    Oracle::new(&site).assert_equal(&site);
    let commands = fs::read_to_string(site.folder().join("ssh.log")).unwrap();
    for words in
        ["-F none", "-- h1 exec", "-- me@h2 exec", "--name 'me@h2-2'", "--admin off", "--log-format text"]
    {
        assert!(
            commands.contains(&words.replace('\'', "'\\''")) || commands.contains(words),
            "{words}: {commands}"
        );
    }
    assert!(up.errors().contains("the ssh of worker gone-1 has ended"), "{}", up.errors());
    let token = fs::read_to_string(site.run_dir().join("secrets/token")).unwrap();
    for text in [&commands, &site.log(), &up.errors()] {
        assert!(!text.contains(token.trim()), "the token is told");
    }
}

#[test]
fn workers_end_with_a_run_that_is_stopped_or_killed() {
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let run = RunFile { epochs: 250, every_steps: 50, heartbeat_ms: 100, ..RunFile::default() };
        let site = site(&run);
        let mut up = up(&site, "h1:2", &[]);
        site.until_step(20);
        up.signal(signal);
        let status = site.end(&mut up);
        assert_eq!(status.code(), (signal == Signal::SIGINT).then_some(75), "{}", site.logs());
        let pids = fs::read_to_string(site.folder().join("pids")).unwrap();
        let pids: Vec<Pid> = pids.lines().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect();
        assert_eq!(pids.len(), 2);
        site.until("no shell of a worker is left", || pids.iter().all(|pid| !is_alive(*pid)).then_some(()));
    }
}

#[test]
fn no_host_that_is_reached_is_a_failure_that_says_where_to_look() {
    let site = site(&RunFile::default());
    let mut up = up(&site, "gone", &[]);
    assert_eq!(site.end(&mut up).code(), Some(1), "{}", up.errors());
    for words in ["gone-1", "255", "lockstep.log", "--resume"] {
        assert!(up.errors().contains(words), "{words}: {}", up.errors());
    }
    assert!(site.log().contains("No route to host"), "{}", site.log());
    let mut wrong = site.start("wrong", &["up", "run.toml", "--hosts", "-oProxyCommand=id"]);
    assert_eq!(site.end(&mut wrong).code(), Some(2), "{}", wrong.errors());
}
