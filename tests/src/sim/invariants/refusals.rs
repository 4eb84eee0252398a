//! A refused message changes nothing.

use lockstep_coordinator::cluster::{Cluster, Input};
use lockstep_core::run::spec::Wire;
use lockstep_core::tree::Tree;
use lockstep_core::wire;
use lockstep_proto::message::{FromWorker, Gradient, Up};

use super::Verdict;
use crate::sim::case::Case;

#[derive(Debug, Default)]
pub(in crate::sim) struct Refusals;

/// The state that must be the same after a message which has to be refused.
pub(in crate::sim) enum Before {
    /// A gradient: everything of the reducer, and one refusal more.
    Gradient(String, u64),
    /// Of a session that has ended: everything of the machine.
    Ended(String),
}

impl Refusals {
    /// By rules of its own: what must be refused?
    pub(in crate::sim) fn before(&self, cluster: &Cluster, case: &Case, input: &Input) -> Option<Before> {
        let count = cluster.refused().values().sum();
        let known = |session| cluster.machine().knows(session);
        match input {
            Input::Tensors(session, Up::Gradient(gradient)) => {
                let wrong = !known(*session) || is_wrong(cluster, case, gradient);
                wrong.then(|| Before::Gradient(format!("{:?}", cluster.reducer()), count))
            }
            Input::Control(session, message) if !known(*session) => {
                let hello = matches!(message, FromWorker::Hello(_));
                (!hello).then(|| Before::Ended(format!("{:?}", cluster.machine())))
            }
            Input::Tensors(session, _) if !known(*session) => {
                Some(Before::Ended(format!("{:?}", cluster.machine())))
            }
            _ => None,
        }
    }

    pub(in crate::sim) fn after(&self, cluster: &Cluster, before: Option<Before>) -> Verdict {
        let same = match before {
            None => true,
            Some(Before::Gradient(reducer, count)) => {
                let now: u64 = cluster.refused().values().sum();
                if now != count + 1 {
                    return Err("refusals: a gradient that is not wanted was accepted".into());
                }
                reducer == format!("{:?}", cluster.reducer())
            }
            Some(Before::Ended(machine)) => machine == format!("{:?}", cluster.machine()),
        };
        if same { Ok(()) } else { Err("refusals: a refused message changed something".into()) }
    }
}

fn is_wrong(cluster: &Cluster, case: &Case, gradient: &Gradient) -> bool {
    let tree = Tree::new(case.run.cluster.shards);
    let len = case.chunks.range(gradient.chunk as usize).map(|range| {
        let exact = gradient.node == tree.root() || range.start >= case.model.layout().trained();
        let encoding = if exact { Wire::F32 } else { case.run.cluster.wire };
        range.len() * wire::width(encoding)
    });
    let (ledger, current) = (cluster.reducer().ledger(), cluster.reducer().step());
    len != Some(gradient.payload.len())
        || !tree.contains(gradient.node)
        || gradient.step != current
        || ledger.check(gradient.step, gradient.node, gradient.chunk).is_err()
}
