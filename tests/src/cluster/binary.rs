//! The `lockstep` command, built once a process. Cargo does not build another package's binaries for
//! a test, and only cargo knows where it puts them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The path of the command, in the profile of this test.
pub fn lockstep() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

fn build() -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit());
    // What cargo says of this package to its tests would make dependencies look changed, and build them anew.
    for (name, _) in std::env::vars_os().filter(|(name, _)| of_this_package(name)) {
        cargo.env_remove(name);
    }
    cargo.args(["build", "--package", "lockstep-cli", "--bin", "lockstep"]);
    cargo.arg("--message-format=json-render-diagnostics");
    if cfg!(feature = "otel") {
        cargo.args(["--features", "lockstep-cli/otel"]);
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "the lockstep command does not build");
    let executable = |line: &[u8]| {
        let message: Value = serde_json::from_slice(line).ok()?;
        let name = message.pointer("/target/name")?.as_str()?;
        let path = message.get("executable")?.as_str()?;
        (name == "lockstep").then(|| PathBuf::from(path))
    };
    let found = output.stdout.split(|byte| *byte == b'\n').find_map(executable);
    found.expect("cargo names the executable that it built")
}

fn of_this_package(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_CRATE_NAME"
}
