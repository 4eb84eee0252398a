//! What a step will take on a star of workers, from its arithmetic and its bytes.
//!
//! ```text
//! alone     = forward + max(backward, bytes in the busier direction at the coordinator / bandwidth)
//! together  = (arithmetic of all workers + bytes both ways · core-seconds a byte) / cores
//! step      = fixed + max(alone, together)
//! ```
//!
//! *Alone* is the slowest worker on cores of its own. Gradients leave layer by layer while earlier layers
//! are differentiated, and new weights return chunk by chunk, so a slow link hides behind backward or
//! backward behind it. *Together* counts where all processes share one machine: then nothing hides, for
//! whoever encodes, copies, sums and updates takes a core from the arithmetic.
//!
//! Arithmetic is products, at the speed of the processor, and the passes between them (activations,
//! biases, windows of convolutions), at that of its caches. What a processor reaches depends on the
//! products' shapes: `flops` should be measured at a shard's rows.

use crate::model::Model;
use crate::run::spec::Run;
use crate::tree::Node;
use crate::wire;

/// Where a step is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machines {
    /// Floating-point operations a second of one core.
    pub flops: f64,
    /// Values a second that one core passes over between products.
    pub values: f64,
    /// Compute threads of a worker.
    pub threads: u32,
    /// Bytes a second each way of the coordinator's link; `None`: no limit.
    pub bandwidth: Option<f64>,
    /// Cores, if coordinator and workers share one machine.
    pub cores: Option<u32>,
    /// Core-seconds that a byte of a gradient or weight costs, both ends, the sum and the update in it.
    pub byte_cost: f64,
    /// Seconds of a step without arithmetic or bytes.
    pub fixed: f64,
}

impl Machines {
    /// Values a second: about what a core does with data that comes from its second cache.
    pub const VALUES: f64 = 2.2e9;
    /// Core-seconds a byte: 0.5 for each GB sent and received over a socket, as much for the rest.
    pub const BYTE_COST: f64 = 1e-9;
    /// Seconds of a step that has one parameter: messages and waking.
    pub const FIXED: f64 = 1e-4;
}

/// A step's parts in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Of the slowest worker.
    pub forward: f64,
    /// Of the slowest worker.
    pub backward: f64,
    /// Of the busier direction at the coordinator.
    pub transfer: f64,
    /// All work, divided over the cores that it shares; 0 if there are none such.
    pub together: f64,
    /// Without arithmetic or bytes.
    pub fixed: f64,
}

impl Prediction {
    /// Of a step whose nodes are divided among workers like this.
    pub fn new(run: &Run, model: &Model, shares: &[Vec<Node>], machines: &Machines) -> Self {
        let Machines { flops, values, threads, bandwidth, cores, byte_cost, fixed } = *machines;
        let shards = run.cluster.shards;
        let shards_of = |nodes: &Vec<Node>| -> u32 {
            let ends = |node: &Node| (node.shards().start.min(shards), node.shards().end.min(shards));
            nodes.iter().map(ends).map(|(start, end)| end - start).sum()
        };
        // The busiest thread of the busiest worker.
        let most = shares.iter().map(|nodes| shards_of(nodes).div_ceil(threads.max(1))).max().unwrap_or(0);
        let (products, passed) = (model.multiply_adds(), model.passed_values());
        let of_a_row = |products: u64, passed: u64| 2.0 * products as f64 / flops + passed as f64 / values;
        let forward = of_a_row(products.0, passed.0);
        let backward = of_a_row(products.1, passed.1) - forward;
        let rows = run.train.batch_size as f64;
        let swept = model.swept_values() as f64 / values;
        let rows_of_most = rows * f64::from(most) / f64::from(shards);

        let up = shares.iter().map(Vec::len).sum::<usize>() as f64 * vector(run, model);
        let down = shares.len() as f64 * vector(run, model);
        let work = (forward + backward) * rows + swept * f64::from(shards) + (up + down) * byte_cost;
        Self {
            forward: forward * rows_of_most,
            backward: backward * rows_of_most + swept * f64::from(most),
            transfer: bandwidth.map_or(0.0, |bandwidth| up.max(down) / bandwidth),
            together: cores.map_or(0.0, |cores| work / f64::from(cores)),
            fixed,
        }
    }

    /// The whole step.
    pub fn step(&self) -> f64 {
        self.fixed + (self.forward + self.backward.max(self.transfer)).max(self.together)
    }

    /// The same if nothing were sent while something is computed.
    pub fn without_overlap(&self) -> f64 {
        self.fixed + (self.forward + self.backward + self.transfer).max(self.together)
    }
}

/// Bytes of a gradient or of the weights as they travel.
pub fn vector(run: &Run, model: &Model) -> f64 {
    (model.layout().len() * wire::width(run.cluster.wire)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Target;
    use crate::tree::Tree;

    /// 10 inputs, 2 outputs, 22 parameters: 20 multiply-adds forward and as many backward; 2 biases and a
    /// loss of 2 outputs forward, 2 biases backward.
    fn predicted(shards: u32, cuts: &[u32], machines: Machines) -> Prediction {
        let text = format!(
            "[data]\ntrain = \"a.csv\"\ntarget = \"y\"\n[model]\nloss = \"cross_entropy\"\nlayers = [{{ linear = 2 }}]\n\
             [train]\nbatch_size = 240\n[cluster]\nshards = {shards}\n"
        );
        let run = crate::run::parse(&text, &[]).unwrap();
        let model = Model::new(&run.model, &[10], Target::Classes(2)).unwrap();
        assert_eq!((model.multiply_adds(), model.passed_values()), ((20, 40), (34, 36)));
        let tree = Tree::new(shards);
        let shares: Vec<_> = cuts.windows(2).map(|ends| tree.cover(ends[0]..ends[1])).collect();
        Prediction::new(&run, &model, &shares, &machines)
    }

    const MACHINES: Machines = Machines {
        flops: 40e3,
        values: 1e30,
        threads: 1,
        bandwidth: Some(880.0),
        cores: None,
        byte_cost: 0.001,
        fixed: 0.5,
    };

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12 * expected.abs(), "{found} is not {expected}");
    }

    #[test]
    fn the_slowest_worker_and_the_busier_direction_count() {
        // 2, 3 and 3 of 8 shards, in 1, 2 and 2 nodes; 90 rows in the larger parts. 5 vectors go up.
        let found = predicted(8, &[0, 2, 5, 8], MACHINES);
        close(found.forward, 0.09);
        close(found.backward, 0.09);
        close(found.transfer, 0.5);
        close(found.step(), 0.5 + 0.09 + 0.5);
        close(found.without_overlap(), 0.5 + 0.09 + 0.09 + 0.5);
        // 2 of 6 in a node each: as much goes down as up. One thread of two has one of them.
        let found = predicted(6, &[0, 2, 4, 6], Machines { threads: 2, bandwidth: None, ..MACHINES });
        close(found.step(), 0.5 + 0.04 + 0.04);
    }

    #[test]
    fn shared_cores_do_all_the_work() {
        let machines = Machines { bandwidth: None, cores: Some(2), ..MACHINES };
        let found = predicted(8, &[0, 4, 8], machines);
        // 240 rows of 80 operations, and 2 vectors of 88 bytes each way.
        close(found.together, (240.0 * 80.0 / 40e3 + 4.0 * 88.0 * 0.001) / 2.0);
        close(found.step(), 0.5 + found.together);
        // One worker of one thread leaves a core idle.
        let found = predicted(8, &[0, 8], machines);
        close(found.step(), 0.5 + 0.48);
    }

    #[test]
    fn passes_between_products_take_time() {
        let found = predicted(8, &[0, 8], Machines { flops: 1e30, values: 72.0, ..MACHINES });
        close(found.forward + found.backward, 240.0 * 36.0 / 72.0);
    }
}
