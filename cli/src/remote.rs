//! Workers on other hosts, over plain ssh.
//!
//! A worker's shell there reads the join token from its input, so no command line has it, and finds this
//! machine by the address from which ssh came. When its input ends, because this process did or the
//! connection broke, it ends the worker.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::str::FromStr;

use crate::log::Format;
use crate::workers::Workers;

/// What these workers are to people.
pub const KIND: &str = "ssh";

/// A host and how many workers it gets: `h`, `user@h:4`, `[fd00::1]:2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// As ssh takes it.
    pub name: String,
    pub workers: u16,
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("found {text:?}, {why}; expected HOST or HOST:WORKERS"));
        let (name, workers) = match text.rsplit_once(':') {
            Some((name, workers)) if name.ends_with(']') || !name.contains(':') => (name, workers),
            _ => (text, "1"),
        };
        let workers = match workers.parse() {
            Ok(workers @ 1..=1024) => workers,
            _ => return wrong("whose workers are not a number from 1 to 1024"),
        };
        let name = name.replace(['[', ']'], "");
        // ssh would take it for an option.
        if name.is_empty() || name.starts_with('-') {
            return wrong("which is no host");
        }
        Ok(Self { name, workers })
    }
}

/// What every worker needs to join.
#[derive(Debug)]
pub struct Joining<'a> {
    /// The coordinator's host, if not the one that ssh came from.
    pub address: Option<&'a str>,
    pub port: u16,
    pub fingerprint: String,
    /// Goes through ssh's input alone.
    pub token: String,
}

/// How workers are started.
#[derive(Debug)]
pub struct Starting<'a> {
    /// The ssh command and its options, divided at spaces.
    pub ssh: &'a str,
    /// The lockstep command there.
    pub program: &'a str,
    pub threads: u16,
    /// Of their log lines.
    pub format: Format,
}

/// Starts the workers of all hosts.
///
/// # Errors
/// ssh cannot be started here. A host that it does not reach is a worker that ends.
pub fn start(
    hosts: &[Host],
    joining: &Joining<'_>,
    starting: &Starting<'_>,
    log: &File,
) -> io::Result<Workers> {
    let mut workers = Workers::new(KIND);
    let mut ssh = starting.ssh.split_whitespace();
    let program = ssh.next().unwrap_or("ssh");
    let options: Vec<&str> = ssh.collect();
    for host in hosts {
        for number in 1..=host.workers {
            let name = format!("{}-{number}", host.name);
            let mut child = Command::new(program)
                .args(&options)
                // Nobody is there to type a password, and a dead connection must end.
                .args(["-T", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=15", "--", &host.name])
                .arg(format!("exec sh -c {}", quoted(&script(&name, joining, starting))))
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(log.try_clone()?)
                .stderr(log.try_clone()?)
                .spawn()?;
            if let Some(input) = &mut child.stdin {
                // Whoever does not read it has ended, which is noticed.
                let _ = writeln!(input, "{}", joining.token);
            }
            workers.push(name, child);
        }
    }
    Ok(workers)
}

/// What a host runs for one worker, in POSIX's shell.
fn script(name: &str, joining: &Joining<'_>, starting: &Starting<'_>) -> String {
    let address = joining.address.map_or_else(|| "${SSH_CONNECTION%% *}".into(), quoted);
    format!(
        "IFS= read -r LOCKSTEP_TOKEN || exit 75
export LOCKSTEP_TOKEN MASTER_ADDR={address} MASTER_PORT={port}
unset LOCKSTEP_COORDINATOR LOCKSTEP_CERTS LOCKSTEP_TOKEN_FILE LOCKSTEP_CA_FINGERPRINT
exec 3<&0
{program} worker --ca-fingerprint {fingerprint} --threads {threads} --name {name} --admin off \\
  --log-format {format} </dev/null 3<&- &
worker=$!
(cat <&3; kill $worker; sleep 10; kill -9 $worker) >/dev/null 2>&1 &
input=$!
wait $worker
code=$?
kill $input
exit $code",
        port = joining.port,
        program = quoted(starting.program),
        fingerprint = quoted(&joining.fingerprint),
        threads = starting.threads,
        name = quoted(name),
        format = starting.format.name(),
    )
}

/// One word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::{Host, quoted};

    #[test]
    fn hosts() {
        for (text, name, workers) in [
            ("h1", "h1", 1),
            ("h2:4", "h2", 4),
            ("me@h2:4", "me@h2", 4),
            ("10.0.0.1:2", "10.0.0.1", 2),
            ("fd00::1", "fd00::1", 1),
            ("[fd00::1]:2", "fd00::1", 2),
        ] {
            assert_eq!(text.parse(), Ok(Host { name: name.into(), workers }));
        }
        for text in ["", ":2", "h:0", "h:1025", "h:x", "-oProxyCommand=x", "-h:2", "[]"] {
            let problem = text.parse::<Host>().unwrap_err();
            assert!(problem.contains(text), "{problem}");
        }
    }

    #[test]
    fn words() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
