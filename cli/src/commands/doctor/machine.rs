//! What the machine gives: cores, memory, descriptors, clock, disk.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use nix::time::{ClockId, clock_getres};

use super::Finding;
use crate::print::{bytes, count};

/// Of each worker: control, tensors, rows.
const CONNECTIONS: u64 = 3;

/// Files, listeners and the runtime's own.
const OTHERS: u64 = 64;

pub(super) fn findings(run_dir: &Path, workers: u32) -> Vec<Finding> {
    let cache = lockstep_data::cache_folder();
    vec![
        cores(),
        memory(),
        descriptors(workers),
        clock(),
        disk("run directory", run_dir),
        disk("cache", &cache),
        writable("run directory", run_dir),
        writable("cache", &cache),
    ]
}

fn cores() -> Finding {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let all = text.lines().filter(|line| line.starts_with("processor")).count();
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    let quota = quota();
    let said = quota.map(|cores| format!(", a quota of {cores:.2}")).unwrap_or_default();
    let found = format!("{usable} usable of {all}{said}");
    match quota {
        Some(cores) if cores < 1.0 => Finding::warning(
            "cores",
            found,
            "less than one core: each step waits for the next slice of time; give the container a whole core",
        ),
        Some(cores) if cores.fract() > 0.01 => Finding::warning(
            "cores",
            found,
            "a part of a core cannot be used evenly: give the container whole cores, and each core a thread",
        ),
        _ => Finding::ok("cores", found),
    }
}

/// Cores that the container may use, where it is limited.
fn quota() -> Option<f64> {
    let text = fs::read_to_string("/sys/fs/cgroup/cpu.max").ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

fn memory() -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix(" kB"));
        line.and_then(|kib| kib.trim().parse::<u64>().ok()).map(|kib| kib << 10)
    };
    let (Some(all), Some(free)) = (value("MemTotal:"), value("MemAvailable:")) else {
        return Finding::warning("memory", "unknown", "the system does not tell in /proc/meminfo");
    };
    let limit =
        fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    let said = limit.map(|limit| format!(", the container's limit is {}", bytes(limit))).unwrap_or_default();
    let found = format!("{} free of {}{said}", bytes(free), bytes(all));
    if limit.unwrap_or(u64::MAX).min(free) < 1 << 30 {
        let advice = "less than 1 GiB: lockstep inspect RUN.toml says what a run needs";
        return Finding::warning("memory", found, advice);
    }
    Finding::ok("memory", found)
}

fn descriptors(workers: u32) -> Finding {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Finding::warning("open files", "unknown", "the system does not tell its limit");
    };
    let needed = u64::from(workers) * CONNECTIONS + OTHERS;
    let found =
        format!("at most {}; a coordinator of {workers} workers needs {}", count(soft), count(needed));
    if soft < needed {
        let advice =
            format!("raise the limit before a coordinator starts: ulimit -n {needed} (at most {hard} here)");
        return Finding::wrong("open files", found, advice);
    }
    Finding::ok("open files", found)
}

fn clock() -> Finding {
    match clock_getres(ClockId::CLOCK_MONOTONIC) {
        Ok(step) => {
            let nanoseconds = step.tv_sec() * 1_000_000_000 + step.tv_nsec();
            let found = format!("steps of {nanoseconds} ns");
            if nanoseconds > 1_000_000 {
                let advice = "too coarse to measure workers' speed: boot with another clock source";
                return Finding::warning("clock", found, advice);
            }
            Finding::ok("clock", found)
        }
        Err(error) => Finding::warning("clock", error.to_string(), "the system has no monotonic clock"),
    }
}

/// The folder itself, or the nearest above it that is there.
fn nearest(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.ancestors().find(|path| path.exists()).map_or_else(|| "/".into(), Path::to_owned)
}

fn disk(what: &'static str, path: &Path) -> Finding {
    let folder = nearest(path);
    match statvfs(&folder) {
        Ok(disk) => {
            let free = disk.blocks_available().saturating_mul(disk.fragment_size());
            let found = format!("{} free in {}", bytes(free), folder.display());
            if free < 1 << 30 {
                let advice = "less than 1 GiB: checkpoints may fail; make room, or name another folder";
                return Finding::warning(what, found, advice);
            }
            Finding::ok(what, found)
        }
        Err(error) => Finding::warning(what, format!("{}: {error}", folder.display()), "look at the disk"),
    }
}

fn writable(what: &'static str, path: &Path) -> Finding {
    let folder = nearest(path);
    match tempfile::tempfile_in(&folder) {
        Ok(_) => Finding::ok(what, format!("{} can be written", folder.display())),
        Err(error) if what == "cache" => Finding::warning(
            what,
            format!("{} cannot be written: {error}", folder.display()),
            "data are read and encoded again each time: name a folder in LOCKSTEP_CACHE",
        ),
        Err(error) => Finding::wrong(
            what,
            format!("{} cannot be written: {error}", folder.display()),
            "a coordinator writes its run there: name another folder with --run-dir",
        ),
    }
}
