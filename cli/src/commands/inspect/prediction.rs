//! What a step will take on a star of workers, from its arithmetic and its bytes alone.
//!
//! ```text
//! step = forward + max(backward, bytes in the busier direction at the coordinator / bandwidth)
//! ```
//!
//! Gradients leave layer by layer while earlier layers are differentiated, and new weights return chunk
//! by chunk, so a slow link hides behind backward or backward behind it. Sums, updates, copies and
//! wake-ups are left out: what a step takes longer is theirs.

use lockstep_coordinator::machine::assign;
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
    /// … each computing so many floating-point operations a second, such as 100G
    #[arg(long, value_name = "FLOPS", requires = "workers", value_parser = number)]
    flops: Option<f64>,
    /// … the coordinator's link carrying so many bytes a second each way, such as 125M for 1 Gbit/s
    /// [default: no limit]
    #[arg(long, value_name = "BYTES", requires = "workers", value_parser = number)]
    bandwidth: Option<f64>,
}

/// Seconds of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prediction {
    workers: u32,
    forward: f64,
    backward: f64,
    transfer: f64,
}

impl Prediction {
    /// `None` unless it was asked for. `multiply_adds` of a row: forward, both. `bytes`: up a node, down
    /// a worker.
    pub(super) fn of(
        cluster: Cluster,
        run: &Run,
        multiply_adds: (u64, u64),
        bytes: (u64, u64),
    ) -> Option<Self> {
        let (workers, flops) = (cluster.workers?, cluster.flops?);
        let tree = Tree::new(run.cluster.shards);
        let alike: Vec<(Session, u64)> = (1..=workers).map(|number| (Session::new(1, number), 1)).collect();
        let assigned = assign(tree, &alike);
        let shards_of = |nodes: &[lockstep_core::tree::Node]| -> u64 {
            let all = nodes.iter().flat_map(|node| node.shards());
            all.filter(|shard| *shard < tree.shards()).count() as u64
        };
        let most = assigned.iter().map(|(_, nodes)| shards_of(nodes)).max().unwrap_or(0);
        let rows = run.train.batch_size as f64 * most as f64 / f64::from(tree.shards());
        let (forward, both) = multiply_adds;
        let seconds = |multiply_adds: u64| 2.0 * multiply_adds as f64 * rows / flops;
        let nodes = assigned.iter().map(|(_, nodes)| nodes.len() as u64).sum::<u64>();
        let busier = (nodes * bytes.0).max(u64::from(workers) * bytes.1);
        let transfer = cluster.bandwidth.map_or(0.0, |bandwidth| busier as f64 / bandwidth);
        Some(Self { workers, forward: seconds(forward), backward: seconds(both - forward), transfer })
    }

    fn step(self) -> f64 {
        self.forward + self.backward.max(self.transfer)
    }

    pub(super) fn text(self) -> String {
        let ms = |seconds: f64| format!("{:.2} ms", seconds * 1e3);
        format!(
            "{} on {} workers: forward {}, then backward {} beside transfer {}",
            ms(self.step()),
            self.workers,
            ms(self.forward),
            ms(self.backward),
            ms(self.transfer)
        )
    }

    pub(super) fn json(self) -> Value {
        json!({
            "workers": self.workers, "step_seconds": self.step(), "forward_seconds": self.forward,
            "backward_seconds": self.backward, "transfer_seconds": self.transfer,
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

    fn predicted(shards: u32, cluster: Cluster) -> Option<Prediction> {
        let text = format!(
            "[data]\ntrain = \"a.csv\"\ntarget = \"y\"\n[model]\nloss = \"cross_entropy\"\nlayers = [{{ linear = 2 }}]\n\
             [train]\nbatch_size = 240\n[cluster]\nshards = {shards}\n"
        );
        let run = lockstep_core::run::parse(&text, &[]).unwrap();
        Prediction::of(cluster, &run, (1_000, 3_000), (400, 300))
    }

    #[test]
    fn the_slowest_worker_and_the_busier_direction_count() {
        let cluster = Cluster { workers: Some(3), flops: Some(1e6), bandwidth: Some(1_000.0) };
        // 8 shards on 3 workers: 2, 3 and 3 of them, in 1, 2 and 2 nodes; 90 rows in the larger parts.
        let expected = Prediction { workers: 3, forward: 0.18, backward: 0.36, transfer: 2.0 };
        assert_eq!(predicted(8, cluster), Some(expected));
        assert_eq!(expected.step(), 2.18);
        // 6 shards on 3 workers: more goes down than up.
        let unlimited = Cluster { bandwidth: None, ..cluster };
        assert_eq!(predicted(6, unlimited).map(Prediction::step), Some(0.16 + 0.32));
        assert_eq!(predicted(6, Cluster { workers: None, ..cluster }), None);
    }

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
