//! `lockstep doctor`: whether this machine is fit to compute, and to reach a coordinator.

mod machine;
mod numbers;
mod reach;

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use crate::failure::Failure;
use crate::print;
use crate::security::CoordinatorArguments;

/// Arguments of `lockstep doctor`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    coordinator: CoordinatorArguments,
    /// Workers that a coordinator on this machine is to serve
    #[arg(long, value_name = "N", default_value_t = 64)]
    workers: u32,
    /// Where runs are to be written
    #[arg(long, value_name = "DIR", default_value = ".")]
    run_dir: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do; empty where all is well.
    advice: String,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Ok, found: found.into(), advice: String::new() }
    }

    fn warning(what: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Warning, found: found.into(), advice: advice.into() }
    }

    fn wrong(what: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Wrong, found: found.into(), advice: advice.into() }
    }
}

/// Looks at everything and prints it.
///
/// # Errors
/// Something is wrong (1).
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Executes this process again under the kernel that runs have by default.
    let pinned = crate::environment::pin(lockstep_core::run::default_kernel());
    let version = env!("CARGO_PKG_VERSION");
    let mut findings =
        vec![Finding::ok("lockstep", format!("{version}, protocol {}", lockstep_proto::PROTOCOL))];
    findings.extend(numbers::findings(pinned));
    findings.extend(machine::findings(&arguments.run_dir, arguments.workers));
    if let Some(address) = arguments.coordinator.address() {
        findings.extend(reach::findings(&address, &arguments.coordinator.trust()?)?);
    }
    if arguments.json {
        print::json(&findings)?;
    } else {
        print::text(&text(&findings))?;
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Wrong).count() {
        0 => Ok(()),
        1 => Err(Failure::failed("1 thing is wrong")),
        wrong => Err(Failure::failed(format!("{wrong} things are wrong"))),
    }
}

/// A line a finding, and one more for what to do.
fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { what, verdict, found, advice } in findings {
        let verdict = match verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Wrong => "WRONG",
        };
        // A String can be written to.
        let _ = writeln!(text, "{what:<width$}  {verdict:<7}  {found}");
        if !advice.is_empty() {
            let _ = writeln!(text, "{:<width$}           -> {advice}", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_stands_below_what_was_found() {
        let found = [Finding::ok("a", "x"), Finding::wrong("long", "y", "do z")];
        assert_eq!(text(&found), "a     ok       x\nlong  WRONG    y\n               -> do z\n");
    }
}
