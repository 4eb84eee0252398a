//! A process of a test: started, signalled, waited for and ended by its own handle.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process whose output goes to files. It ends when its handle is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Process {
    /// Starts it; `name` names its files in `folder`.
    pub fn start(mut command: Command, name: &str, folder: &Path) -> Self {
        let [output, errors] = ["out", "err"].map(|kind| folder.join(format!("{name}.{kind}")));
        command.stdin(Stdio::null());
        command.stdout(File::create(&output).unwrap()).stderr(File::create(&errors).unwrap());
        Self { child: command.spawn().expect("the command starts"), output, errors }
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            kill(self.pid(), signal).unwrap();
        }
    }

    /// Ends it at once, and returns when it has ended.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().unwrap();
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Where it answers, if it was started with `--admin` and has said so.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.errors().split_once("admin on http://")?.1.split_once(": ")?.0.parse().ok()
    }

    /// What it has written to stdout.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// What it has written to stderr.
    pub fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The processes that `parent` started and that have not ended.
pub fn workers_of(parent: Pid) -> Vec<Pid> {
    let numbers =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let pids = numbers.filter_map(|name| name.parse().ok()).map(Pid::from_raw);
    pids.filter(|pid| status(*pid).is_some_and(|(_, of)| of == parent) && is_alive(*pid)).collect()
}

/// Whether the process runs. One that has ended and was not yet waited for does not.
pub fn is_alive(pid: Pid) -> bool {
    status(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// State and parent.
fn status(pid: Pid) -> Option<(char, Pid)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold any of them.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, Pid::from_raw(fields.next()?.parse().ok()?)))
}
