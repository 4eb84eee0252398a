//! What is asked and said of the time of a step; [`lockstep_core::cost`] says how it is predicted.

use lockstep_coordinator::machine::assign;
use lockstep_core::cost::{self, Machines};
use lockstep_core::model::Model;
use lockstep_core::run::spec::Run;
use lockstep_core::tree::Tree;
use lockstep_proto::Session;
use serde_json::{Value, json};

/// What a prediction is made for.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Cluster {
    /// Predict a step's time on so many workers
    #[arg(long, value_name = "N", requires = "flops", value_parser = clap::value_parser!(u32).range(1..=4096))]
    workers: Option<u32>,
    /// … each core computing so many floating-point operations a second, such as 100G
    #[arg(long, value_name = "FLOPS", requires = "workers", value_parser = number)]
    flops: Option<f64>,
    /// … the coordinator's link carrying so many bytes a second each way, such as 125M for 1 Gbit/s
    /// [default: no limit]
    #[arg(long, value_name = "BYTES", requires = "workers", value_parser = number)]
    bandwidth: Option<f64>,
    /// … each worker computing on so many threads
    #[arg(long, value_name = "K", requires = "workers", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,
    /// … all of them and the coordinator sharing one machine of so many cores [default: each has its own]
    #[arg(long, value_name = "C", requires = "workers", value_parser = clap::value_parser!(u32).range(1..))]
    cores: Option<u32>,
}

/// Seconds of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prediction {
    workers: u32,
    parts: cost::Prediction,
}

impl Prediction {
    /// `None` unless it was asked for.
    pub(super) fn of(cluster: Cluster, run: &Run, model: &Model) -> Option<Self> {
        let (workers, flops) = (cluster.workers?, cluster.flops?);
        let alike: Vec<(Session, u64)> = (1..=workers).map(|number| (Session::new(1, number), 1)).collect();
        let shares: Vec<_> =
            assign(Tree::new(run.cluster.shards), &alike).into_iter().map(|(_, nodes)| nodes).collect();
        let machines = Machines {
            flops,
            values: Machines::VALUES,
            threads: cluster.threads,
            bandwidth: cluster.bandwidth,
            cores: cluster.cores,
            byte_cost: Machines::BYTE_COST,
            fixed: Machines::FIXED,
        };
        Some(Self { workers, parts: cost::Prediction::new(run, model, &shares, &machines) })
    }

    pub(super) fn text(self) -> String {
        let ms = |seconds: f64| format!("{:.2} ms", seconds * 1e3);
        let cost::Prediction { forward, backward, transfer, together, fixed } = self.parts;
        let shared = match together {
            0.0 => String::new(),
            together => format!("; all work over the shared cores {}", ms(together)),
        };
        format!(
            "{} on {} workers: forward {}, then backward {} beside transfer {}{shared}; {} besides",
            ms(self.parts.step()),
            self.workers,
            ms(forward),
            ms(backward),
            ms(transfer),
            ms(fixed)
        )
    }

    pub(super) fn json(self) -> Value {
        let cost::Prediction { forward, backward, transfer, together, fixed } = self.parts;
        json!({
            "workers": self.workers, "step_seconds": self.parts.step(), "forward_seconds": forward,
            "backward_seconds": backward, "transfer_seconds": transfer, "shared_cores_seconds": together,
            "fixed_seconds": fixed,
        })
    }
}

/// A number above 0, with K, M, G or T for powers of a thousand.
fn number(text: &str) -> Result<f64, String> {
    let units = [('K', 1e3), ('M', 1e6), ('G', 1e9), ('T', 1e12)];
    let unit = units.into_iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)));
    let (digits, unit) = unit.unwrap_or((text, 1.0));
    let number = digits.parse::<f64>().ok().map(|number| number * unit);
    number
        .filter(|number| number.is_finite() && *number > 0.0)
        .ok_or_else(|| "expected a number above 0 such as 125M".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        assert_eq!(number("125M"), Ok(125e6));
        assert_eq!(number("1.5G"), Ok(1.5e9));
        assert_eq!(number("7"), Ok(7.0));
        for wrong in ["", "G", "-1", "0", "nan", "inf", "1X"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
    }
}
