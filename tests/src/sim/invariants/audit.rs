//! A wrong chunk of an audited node never reaches the weights, and only who computed one is put out.

use std::collections::BTreeSet;

use bytes::Bytes;
use lockstep_coordinator::cluster::Cluster;
use lockstep_core::tree::Node;
use lockstep_proto::Session;
use lockstep_proto::message::Gradient;

use super::Verdict;

#[derive(Debug, Default)]
pub(in crate::sim) struct Audit {
    /// What liars have sent: step, node, chunk and what it holds.
    lies: BTreeSet<(u64, Node, u32, Bytes)>,
    liars: BTreeSet<String>,
    /// Steps and nodes that workers computed differently.
    disputed: BTreeSet<(u64, Node)>,
    /// Copies that wait for another's.
    kept: Vec<(Session, Gradient)>,
    /// A lie was taken for a node that nobody compares: the weights are not the oracle's any more.
    pub(in crate::sim) spoiled: bool,
}

impl Audit {
    pub(super) fn start(&mut self) {
        self.kept.clear();
    }

    /// A worker is about to send this.
    pub(in crate::sim) fn lie(&mut self, worker: &str, gradient: &Gradient) {
        self.liars.insert(worker.into());
        self.lies.insert(key(gradient));
    }

    /// The coordinator has not refused a gradient, or has handled something else. Returns what is here now.
    pub(in crate::sim) fn taken(
        &mut self,
        cluster: &Cluster,
        gradient: Option<(Session, Gradient)>,
        audited: bool,
    ) -> Result<Vec<Gradient>, String> {
        let reducer = cluster.reducer();
        let is_here = |of: &Gradient| reducer.ledger().check(of.step, of.node, of.chunk).is_err();
        // What waits in a step that is given up is not taken.
        let progress = cluster.machine().progress();
        let taken = |of: &Gradient| match reducer.ledger().step() {
            Some(step) if step == of.step => is_here(of),
            _ => progress.step > of.step && !progress.skipped.contains(&of.step),
        };
        let mut here = Vec::new();
        if let Some((session, gradient)) = gradient {
            if !taken(&gradient) {
                self.kept.push((session, gradient));
            } else {
                if audited && self.lies.contains(&key(&gradient)) {
                    return Err(format!("audit: {gradient:?} is wrong and was taken"));
                }
                self.kept.retain(|(_, kept)| (kept.node, kept.chunk) != (gradient.node, gradient.chunk));
                here.push(gradient);
            }
        }
        // One copy is enough after all.
        let over = |kept: &Gradient| kept.step != reducer.step() || !reducer.audits(kept.node);
        for (_, kept) in self.kept.extract_if(.., |(_, kept)| over(kept)) {
            let new = !here.iter().any(|other| (other.node, other.chunk) == (kept.node, kept.chunk));
            if new && taken(&kept) {
                here.push(kept);
            }
        }
        self.kept.retain(|(session, _)| cluster.machine().knows(*session));
        if let Some(lie) = here.iter().find(|gradient| self.lies.contains(&key(gradient))) {
            if self.disputed.contains(&(lie.step, lie.node)) {
                return Err(format!("audit: {lie:?} is wrong and was taken, although another had differed"));
            }
            self.spoiled = true;
        }
        Ok(here)
    }

    pub(in crate::sim) fn differs(&mut self, step: u64, node: Node) {
        self.disputed.insert((step, node));
    }

    pub(in crate::sim) fn put_out(&self, worker: &str) -> Verdict {
        if self.liars.contains(worker) {
            return Ok(());
        }
        Err(format!("audit: {worker} was put out, and computed nothing wrong"))
    }
}

fn key(gradient: &Gradient) -> (u64, Node, u32, Bytes) {
    (gradient.step, gradient.node, gradient.chunk, gradient.payload.clone())
}
