//! The worker processes of a local cluster.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::log::Format;
use crate::security::VARIABLES;

/// Worker processes in a process group of their own, so that a terminal's Ctrl-C reaches only their
/// parent. They end with it, however it ends.
#[derive(Debug)]
pub struct LocalWorkers {
    children: Vec<Child>,
}

impl LocalWorkers {
    /// Starts `count` workers of `threads` threads each. Must be called on the main thread: the system
    /// ends a child when the thread that started it ends.
    pub fn start(
        count: usize,
        threads: u16,
        coordinator: SocketAddr,
        roots: &[String],
        log: &File,
        format: Format,
    ) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut workers = Self { children: Vec::with_capacity(count) };
        for number in 1..=count {
            let mut command = Command::new(&program);
            for name in VARIABLES {
                command.env_remove(name);
            }
            let child = command
                .args(["worker", "--coordinator", &coordinator.to_string()])
                .args(["--threads", &threads.to_string()])
                .args(["--name", &format!("local-{number}")])
                .args(["--parent", &std::process::id().to_string()])
                .args(["--wait", "30"])
                // What the environment says of these is for this process.
                .args(["--admin", "off", "--log-format", format.name()])
                .args(roots.iter().flat_map(|root| ["--data", root]))
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log.try_clone()?)
                .spawn()?;
            workers.children.push(child);
        }
        Ok(workers)
    }

    /// How the workers ended, if all of them did.
    pub fn all_ended(&mut self) -> Option<String> {
        let mut last = None;
        for child in &mut self.children {
            match child.try_wait() {
                Ok(Some(status)) => last = Some(status.to_string()),
                _ => return None,
            }
        }
        last
    }

    /// Gives the workers a moment to end by themselves, then ends them.
    pub fn finish(mut self) {
        let until = Instant::now() + Duration::from_secs(5);
        while self.all_ended().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for LocalWorkers {
    fn drop(&mut self) {
        for child in &mut self.children {
            // One that has ended cannot be killed, and that is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
