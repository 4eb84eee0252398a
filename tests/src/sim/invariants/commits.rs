//! A step is committed once: in each life of the coordinator the steps follow each other, and no step
//! ever ends in two different digests.

use std::collections::BTreeMap;

use lockstep_coordinator::reducer::Snapshot;
use lockstep_core::digest::Digest;
use lockstep_core::tensors::View;

use super::Verdict;

#[derive(Debug, Default)]
pub(in crate::sim) struct Commits {
    /// W(step) is current.
    step: u64,
    digests: BTreeMap<u64, Digest>,
}

impl Commits {
    pub(super) fn start(&mut self, step: u64) {
        self.step = step;
    }

    pub(super) fn step(&mut self, step: u64, snapshot: &Snapshot) -> Verdict {
        if step != self.step + 1 || snapshot.step != step {
            return Err(format!("commits: W({}) was followed by W({step})", self.step));
        }
        self.step = step;
        let flat = |data: &[f32]| [data.len()];
        let shapes: Vec<[usize; 1]> = snapshot.optimizer.iter().map(|(_, data)| flat(data)).collect();
        let weights = flat(&snapshot.weights);
        let model = View { name: "weights", shape: &weights, data: &snapshot.weights };
        let moments = snapshot.optimizer.iter().zip(&shapes);
        let moments = moments.map(|((name, data), shape)| View { name, shape, data });
        let digest = Digest::new(step, std::iter::once(model).chain(moments));
        match self.digests.insert(step, digest) {
            Some(before) if before != digest => {
                Err(format!("commits: W({step}) was {before} and is {digest} now"))
            }
            _ => Ok(()),
        }
    }
}
