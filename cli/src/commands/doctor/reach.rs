//! The way to a coordinator.

use lockstep_proto::PROTOCOL;
use lockstep_worker::{Probed, Trust, probe};

use super::Finding;
use crate::failure::Failure;
use crate::print::bytes;
use crate::runtime;

/// Seconds that two clocks may differ: logs and certificates' dates are compared by people.
const SKEW: f64 = 1.0;

/// Bytes a second of a link of 100 Mbit/s.
const SLOW: f64 = 12.5e6;

pub(super) fn findings(coordinator: &str, trust: &Trust) -> Result<Vec<Finding>, Failure> {
    let runtime = runtime::current_thread()?;
    Ok(match runtime.block_on(probe(coordinator, trust)) {
        Ok(probed) => judged(coordinator, probed),
        Err(why) => vec![Finding::wrong(
            "coordinator",
            format!("{coordinator}: {why}"),
            "start it, and look at the address, the network's rules, and the flags by which workers are let in",
        )],
    })
}

fn judged(coordinator: &str, probed: Probed) -> Vec<Finding> {
    let Probed { protocol, round_trip, ahead_seconds, up, down } = probed;
    let found = format!("{coordinator} answers, protocol {protocol}");
    let mut findings = vec![if protocol == PROTOCOL {
        Finding::ok("coordinator", found)
    } else {
        let advice = format!("this is protocol {PROTOCOL}: run the same version of lockstep on both");
        Finding::wrong("coordinator", found, advice)
    }];
    findings.push(Finding::ok("round trip", format!("{:.3} ms", round_trip.as_secs_f64() * 1e3)));
    let said = format!("{}/s to it, {}/s from it", bytes(up as u64), bytes(down as u64));
    findings.push(if up.min(down) < SLOW {
        let advice = "less than 100 Mbit/s: lockstep inspect RUN.toml says what a step takes so; wire = \"bf16\" halves the bytes";
        Finding::warning("bandwidth", said, advice)
    } else {
        Finding::ok("bandwidth", said)
    });
    let side = if ahead_seconds < 0.0 { "behind" } else { "ahead of" };
    let said = format!("the coordinator's clock is {:.3} s {side} this one", ahead_seconds.abs());
    findings.push(if ahead_seconds.abs() > SKEW {
        let advice = "let both machines follow a time server: log lines cannot be compared, and certificates may seem to be of another day";
        Finding::warning("clocks", said, advice)
    } else {
        Finding::ok("clocks", said)
    });
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Verdict;
    use super::*;

    #[test]
    fn what_is_unusual_is_said() {
        let probed = Probed {
            protocol: PROTOCOL,
            round_trip: Duration::from_millis(1),
            ahead_seconds: 0.1,
            up: 1e9,
            down: 1e9,
        };
        let verdicts =
            |probed| judged("here:1", probed).iter().map(|finding| finding.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(probed), [Verdict::Ok; 4]);
        let other = Probed { protocol: PROTOCOL + 1, ahead_seconds: -60.0, down: 1e6, ..probed };
        assert_eq!(verdicts(other), [Verdict::Wrong, Verdict::Ok, Verdict::Warning, Verdict::Warning]);
    }
}
