//! What rounding the wire to bf16 costs in accuracy and saves in bytes.
//!
//! The bytes of the payload are those of `results.json`. Those of the socket are what the loopback device
//! of a network namespace of the run's own has carried, as `/proc/net/dev` tells at its end: headers,
//! control messages and rows are in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use lockstep_core::run::spec::Wire;
use serde_json::{Value, json};

use super::cluster;
use super::steps::wire_name;

/// Points of accuracy that bf16 may cost.
const TARGET: f64 = 0.3;

/// Run files of `examples/`.
const RUNS: [&str; 2] = ["digits", "fashion-mnist"];

struct Trained {
    accuracy: f64,
    payload: f64,
    socket: Option<f64>,
}

/// Trains each example on two workers with both wires, and prints both ends.
///
/// # Errors
/// A run fails; the data of Fashion-MNIST is not there.
pub fn run(folder: &Path, json: bool) -> Result<()> {
    let namespace = namespace();
    if namespace.is_none() {
        eprintln!(
            "bench: no network namespace can be made (unshare --net), so the socket's bytes are not counted"
        );
    }
    for name in RUNS {
        let [f32, bf16] = [Wire::F32, Wire::Bf16].map(|wire| train(folder, name, wire, namespace));
        let (f32, bf16) = (f32?, bf16?);
        let points = 100.0 * (bf16.accuracy - f32.accuracy);
        let socket = f32.socket.zip(bf16.socket).map(|(f32, bf16)| bf16 / f32);
        if json {
            let line = json!({
                "case": "bf16", "run": name, "accuracy_f32": f32.accuracy, "accuracy_bf16": bf16.accuracy,
                "points": points, "target_points": TARGET, "payload_bytes_f32": f32.payload,
                "payload_bytes_bf16": bf16.payload, "socket_bytes_f32": f32.socket,
                "socket_bytes_bf16": bf16.socket,
            });
            println!("{line}");
            continue;
        }
        println!(
            "{name}: accuracy f32 {:.4}, bf16 {:.4}: {points:+.2} points (within {TARGET})",
            f32.accuracy, bf16.accuracy
        );
        println!(
            "  payload {:.3e} and {:.3e} bytes: {:.3}",
            f32.payload,
            bf16.payload,
            bf16.payload / f32.payload
        );
        if let (Some(a), Some(b), Some(ratio)) = (f32.socket, bf16.socket, socket) {
            println!("  socket  {a:.3e} and {b:.3e} bytes: {ratio:.3}");
        }
    }
    Ok(())
}

/// How to start a command in a network namespace of its own, with or without root.
fn namespace() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["unshare", "--net"], &["unshare", "--net", "--map-root-user"]];
    ways.into_iter().find(|way| {
        let Some((program, arguments)) = way.split_first() else { return false };
        let up = ["ip", "link", "set", "lo", "up"];
        Command::new(program).args(arguments).args(up).output().is_ok_and(|done| done.status.success())
    })
}

fn train(folder: &Path, name: &str, wire: Wire, namespace: Option<&[&str]>) -> Result<Trained> {
    let run = example(name);
    let directory = folder.join(format!("{name}-{}", wire_name(wire)));
    let mut train = cluster::train(&cluster::command()?, &run, &directory, 2, 1);
    train.args(["--set", &format!("cluster.wire={}", wire_name(wire))]);
    let mut socket = None;
    match namespace.and_then(<[_]>::split_first) {
        None => cluster::finish(train)?,
        Some((program, arguments)) => {
            // The command's own output goes nowhere; the device's lines are what is left.
            let script = r#"ip link set lo up && "$@" >&2 && cat /proc/net/dev"#;
            let mut inside = cluster::clean(Command::new(program));
            inside.args(arguments).args(["sh", "-c", script, "sh"]);
            inside.arg(train.get_program()).args(train.get_args()).stdout(std::process::Stdio::piped());
            let done = inside.output()?;
            if !done.status.success() {
                bail!("{inside:?}: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr));
            }
            socket = Some(received(&String::from_utf8_lossy(&done.stdout), "lo").context("no device lo")?);
        }
    }
    let results: Value = serde_json::from_slice(&std::fs::read(directory.join("results.json"))?)?;
    let number = |pointer: &str| results.pointer(pointer).and_then(Value::as_f64).context(pointer.to_owned());
    let payload = number("/bytes/up")? + number("/bytes/down")?;
    let accuracy = number("/validation/accuracy")?;
    std::fs::remove_dir_all(&directory)?;
    Ok(Trained { accuracy, payload, socket })
}

/// Bytes that a device has received, out of `/proc/net/dev`.
pub(super) fn received(text: &str, device: &str) -> Option<f64> {
    column(text, device, 0)
}

/// Bytes that a device has sent.
pub(super) fn sent(text: &str, device: &str) -> Option<f64> {
    column(text, device, 8)
}

fn column(text: &str, device: &str, column: usize) -> Option<f64> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'))?;
    line.split_whitespace().nth(column)?.parse().ok()
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("examples").join(format!("{name}.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_two_columns_of_bytes() {
        let text =
            "Inter-|   Receive\n face |bytes packets\n   lo: 12 3 0 0 0 0 0 0 45 6 0 0 0 0 0 0\n  lo2: 7 1\n";
        assert_eq!((received(text, "lo"), sent(text, "lo")), (Some(12.0), Some(45.0)));
        assert_eq!(received(text, "eth0"), None);
    }
}
