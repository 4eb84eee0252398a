//! What the parts must not know: the design's absences, as tests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is all test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Crates that bring tasks, sockets or the wire.
const NETWORK: [&str; 14] = [
    "async-std",
    "h2",
    "http",
    "hyper",
    "lockstep-proto",
    "mio",
    "prost",
    "quinn",
    "reqwest",
    "rustls",
    "socket2",
    "tokio",
    "tonic",
    "tower",
];

/// What a pure machine must not name.
const IMPURE: [&str; 9] =
    ["tokio", "tonic", "std::net", "Instant", "SystemTime", "std::thread", "std::fs", "std::env", "std::io"];

/// The machines: events in, actions out, time an argument.
const PURE: [&str; 9] = [
    "coordinator/src/machine",
    "coordinator/src/reducer",
    "coordinator/src/ledger.rs",
    "coordinator/src/cluster.rs",
    "coordinator/src/notice.rs",
    "coordinator/src/progress.rs",
    "worker/src/session.rs",
    "worker/src/weights.rs",
    "worker/src/compute.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Each package of the lock file with what it needs; of several versions, all that any needs.
fn locked() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("name = \"") {
            name = rest.trim_end_matches('"').into();
            packages.entry(name.clone()).or_default();
        } else if line.starts_with('"') {
            // "name", or "name version" where there are several.
            let needed = line.trim_matches(['"', ',']).split(' ').next().unwrap().into();
            packages.get_mut(&name).unwrap().insert(needed);
        }
    }
    packages
}

/// All that a package needs, tests included, directly or through others.
fn closure(of: &str) -> BTreeSet<String> {
    let packages = locked();
    let mut found = BTreeSet::new();
    let mut open = vec![of.to_owned()];
    while let Some(name) = open.pop() {
        let needed = packages.get(&name).unwrap_or_else(|| panic!("{name} is not in Cargo.lock"));
        open.extend(needed.iter().filter(|name| found.insert((*name).clone())).cloned());
    }
    found
}

#[test]
fn core_knows_of_no_network() {
    let known = closure("lockstep-core");
    let found: Vec<_> = NETWORK.iter().filter(|name| known.contains(**name)).collect();
    assert!(found.is_empty(), "lockstep-core depends on {found:?}");
    // The list would find them where they are.
    let coordinator = closure("lockstep-coordinator");
    for name in ["tokio", "tonic", "prost", "h2", "hyper", "mio", "socket2"] {
        assert!(coordinator.contains(name), "{name}");
    }
}

#[test]
fn coordinator_and_worker_do_not_know_each_other() {
    assert!(!closure("lockstep-coordinator").contains("lockstep-worker"));
    assert!(!closure("lockstep-worker").contains("lockstep-coordinator"));
}

/// Whether a path in the code is the thing, or lies in it.
fn names(word: &str, thing: &str) -> bool {
    format!("::{word}::").contains(&format!("::{thing}::"))
}

/// All Rust files of a file or folder, with their text.
fn sources(path: &Path, into: &mut Vec<(String, String)>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), into);
        }
    } else if path.extension().is_some_and(|ending| ending == "rs") {
        into.push((path.display().to_string(), std::fs::read_to_string(path).unwrap()));
    }
}

#[test]
fn the_machines_name_no_runtime_and_no_clock() {
    let mut files = Vec::new();
    PURE.iter().for_each(|path| sources(&root().join(path), &mut files));
    assert!(files.len() >= 14, "files are missing: {files:?}");
    for (path, text) in files {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let words: Vec<&str> = code.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c))).collect();
            let named = |name: &&&str| words.iter().any(|word| names(word, name));
            if let Some(name) = IMPURE.iter().find(named) {
                panic!("{path}:{} names {name}", number + 1);
            }
        }
    }
}
