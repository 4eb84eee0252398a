//! The worker processes of a local cluster.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::log::Format;
use crate::security::VARIABLES;
use crate::workers::Workers;

/// Starts `count` workers of `threads` threads each, in process groups of their own, so that a terminal's
/// Ctrl-C reaches only their parent. They end with it, however it ends. Must be called on the main thread: the system
/// ends a child when the thread that started it ends.
pub fn start(
    count: usize,
    threads: u16,
    coordinator: SocketAddr,
    roots: &[String],
    log: &File,
    format: Format,
) -> io::Result<Workers> {
    let program = std::env::current_exe()?;
    let mut workers = Workers::new("local");
    for number in 1..=count {
        let name = format!("local-{number}");
        let mut command = Command::new(&program);
        for name in VARIABLES {
            command.env_remove(name);
        }
        let child = command
            .args(["worker", "--coordinator", &coordinator.to_string()])
            .args(["--threads", &threads.to_string()])
            .args(["--name", &name])
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
        workers.push(name, child);
    }
    Ok(workers)
}
