//! What the system says of this process, under the names that all exporters use.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;

use super::exposition::{Exposition, Type};

/// When this process began, for people's clocks: seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Began(f64);

impl Began {
    pub(super) fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()))
    }
}

/// Adds them. What the system does not tell is left out.
pub(super) fn expose(began: Began, text: &mut Exposition) {
    let name = "process_start_time_seconds";
    text.single(Type::Gauge, name, "When the process began, in seconds since 1970.", began.0);
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        let help = "Processor time of all threads.";
        text.single(Type::Counter, "process_cpu_seconds_total", help, micros as f64 / 1e6);
    }
    if let Some(bytes) = resident() {
        let help = "Memory that the process occupies.";
        text.single(Type::Gauge, "process_resident_memory_bytes", help, bytes as f64);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is this look's own.
        let count = open.count().saturating_sub(1);
        text.single(Type::Gauge, "process_open_fds", "Open file descriptors.", count as f64);
    }
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        text.single(Type::Gauge, "process_max_fds", "Most file descriptors that may be open.", soft as f64);
    }
}

/// Bytes.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
