//! Nodes that two workers compute, chosen by the seed, and what follows when they differ.
//!
//! ```text
//! chosen ─▶ owner and a second worker ─┬▶ the same bits: here
//!                                      └▶ others: a third computes it ─▶ whoever stands alone is put out
//!                                                 └ nobody else is here: both come again and compute it
//!                                                   again; after a few times the run stops
//! ```
//!
//! A pair of step and node is chosen by its own random number, whatever else is assigned: who computes it
//! never changes what is chosen. If the second worker is lost and nobody else is here, one copy is enough,
//! unless two have differed: then the run waits for a second.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lockstep_core::random::{Purpose, stream};
use lockstep_core::tree::Node;
use lockstep_proto::Session;
use lockstep_proto::message::Reason;

use super::step::Candidate;
use super::{Action, Machine, Work};
use crate::notice::Notice;
use crate::progress::Wrong;

/// Whether a node is one of those that are computed twice in this step.
pub fn audited(seed: u64, share: f64, step: u64, node: Node) -> bool {
    let number =
        || stream(seed, Purpose::Audit, u64::from(node.level), step, u64::from(node.position)).uniform();
    share > 0.0 && number() < share
}

/// The audited nodes of a step.
#[derive(Clone, Debug, Default)]
pub(super) struct Audits {
    nodes: BTreeMap<Node, Dispute>,
    /// How often workers came again to settle one.
    in_vain: u32,
}

/// Who has computed what nobody else did.
#[derive(Clone, Debug, Default)]
struct Dispute {
    open: bool,
    parties: BTreeSet<Session>,
}

impl Audits {
    /// How many have to compute the node, of these who do.
    pub(super) fn needs(&self, node: Node, computers: impl Iterator<Item = Session>) -> usize {
        let Some(Dispute { parties, .. }) = self.nodes.get(&node) else { return 1 };
        computers.filter(|session| parties.contains(session)).count().max(1) + 1
    }

    pub(super) fn contains(&self, node: Node) -> bool {
        self.nodes.contains_key(&node)
    }

    pub(super) fn add(&mut self, node: Node) {
        self.nodes.entry(node).or_default();
    }

    pub(super) fn nodes(&self) -> Vec<Node> {
        self.nodes.keys().copied().collect()
    }

    /// One copy is enough, if nothing speaks against it.
    pub(super) fn give_up(&mut self, node: Node) -> bool {
        let agreed = self.nodes.get(&node).is_some_and(|dispute| !dispute.open);
        agreed && self.nodes.remove(&node).is_some()
    }

    /// The node has fallen into smaller ones.
    pub(super) fn forget(&mut self, node: Node) {
        self.nodes.remove(&node);
    }

    pub(super) fn disputed(&self) -> impl Iterator<Item = (Node, &BTreeSet<Session>)> {
        let open = self.nodes.iter().filter(|(_, dispute)| dispute.open);
        open.map(|(node, dispute)| (*node, &dispute.parties))
    }
}

impl Machine {
    /// Of these nodes of the open step, which are new, those that are chosen. Without a second worker
    /// there are none.
    pub(super) fn choose_audits(&mut self, nodes: &[Node]) {
        let (seed, share, step) = (self.config.seed, self.config.audit, self.progress.step);
        let chosen: Vec<Node> =
            nodes.iter().copied().filter(|node| audited(seed, share, step, *node)).collect();
        if chosen.is_empty() {
            return;
        }
        if self.members.crew().len() < 2 {
            if !std::mem::replace(&mut self.told_no_audit, true) {
                self.notice(Notice::NoAudit);
            }
            return;
        }
        if let Work::Step(work) = &mut self.work {
            chosen.iter().for_each(|node| work.audits.add(*node));
            self.actions.push_back(Action::Audit(chosen));
        }
    }

    /// Finds the workers that audited nodes lack. Returns who was given some.
    pub(super) fn cover_audits(&mut self, now: Duration) -> BTreeSet<Session> {
        if !matches!(&self.work, Work::Step(work) if !work.audits.nodes.is_empty()) {
            return BTreeSet::new();
        }
        let costs = self.costs(now, &self.members.crew());
        let Work::Step(work) = &mut self.work else { return BTreeSet::new() };
        let candidate = |(session, cost)| Candidate { session, cost, load: work.load(session) };
        let candidates: Vec<Candidate> = costs.into_iter().map(candidate).collect();
        let (touched, alone) = work.cover_audits(&candidates);
        if !alone.is_empty() {
            self.actions.push_back(Action::GiveUpAudits(alone));
        }
        touched
    }

    /// The same in the middle of a step.
    pub(super) fn complete_audits(&mut self, now: Duration) {
        let touched = self.cover_audits(now);
        if !touched.is_empty() {
            self.generation = self.generation.next();
        }
        for session in touched {
            self.send_nodes(now, session);
        }
    }

    /// What was computed for a node differs.
    pub(super) fn differs(&mut self, now: Duration, node: Node, sessions: &[Session]) {
        let step = self.progress.step;
        let Work::Step(work) = &mut self.work else { return };
        let Some(dispute) = work.audits.nodes.get_mut(&node) else { return };
        dispute.open = true;
        let before = dispute.parties.len();
        dispute.parties.extend(sessions);
        if dispute.parties.len() == before {
            return;
        }
        let names = sessions.iter().filter_map(|session| self.members.get(*session));
        let workers = names.map(|member| member.hello.name.clone()).collect();
        self.notice(Notice::Differs { workers, step, node });
        self.complete_audits(now);
        self.settle_disputes(now);
        self.stop_if_idle(now);
    }

    /// Where everyone who could decide has computed something else, all of them come again.
    pub(super) fn settle_disputes(&mut self, now: Duration) {
        let Work::Step(work) = &mut self.work else { return };
        let stuck = work.audits.disputed().find_map(|(node, parties)| {
            let computers: Vec<Session> = work.computers(node).collect();
            let all = computers.len() > 1 && computers.iter().all(|session| parties.contains(session));
            (all && !work.is_over(node)).then_some((node, computers))
        });
        let Some((node, computers)) = stuck else { return };
        work.audits.in_vain += 1;
        if work.audits.in_vain > MOST_IN_VAIN {
            return self.cannot_decide(node, &computers);
        }
        for session in computers {
            let why =
                format!("another computed other numbers for shards {node}, and no third is here to decide");
            self.end(now, session, why, Some(Reason::Late));
        }
        self.go_on_without(now);
    }

    /// A node that two computed differently, and that too few compute now.
    pub(super) fn undecided(&self) -> Option<Node> {
        let Work::Step(work) = &self.work else { return None };
        let lacks = |node: &Node| !work.is_over(*node) && work.computers(*node).count() < work.needs(*node);
        work.audits.disputed().map(|(node, _)| node).find(lacks)
    }

    fn cannot_decide(&mut self, node: Node, computers: &[Session]) {
        let members = computers.iter().filter_map(|session| self.members.get(*session));
        let who: Vec<String> = members
            .map(|member| {
                let hello = &member.hello;
                format!("{} (host {}, {}, {})", hello.name, hello.host, hello.cpu, hello.numerics)
            })
            .collect();
        let text = format!(
            "step {}, shards {node}: {} computed different numbers, again and again, and there is no further \
             worker to decide who is wrong; nothing of this step was kept. Run the same with --resume and one \
             worker more, on another machine",
            self.progress.step,
            who.join(" and "),
        );
        self.finish(lockstep_proto::message::Outcome::Failed, text);
    }

    /// A worker's numbers are not what two others computed: it is put out for good.
    pub(super) fn wrong(&mut self, now: Duration, session: Session, node: Node) {
        let Some(member) = self.members.get(session) else { return };
        let hello = &member.hello;
        let wrong = Wrong {
            worker: hello.name.clone(),
            host: hello.host.clone(),
            cpu: hello.cpu.clone(),
            numerics: hello.numerics.clone(),
            step: self.progress.step,
            shards: node.to_string(),
        };
        self.notice(Notice::Wrong(wrong.clone()));
        self.progress.audit.put_out.push(wrong);
        let why = format!("it computed other numbers for shards {node} than two others");
        self.lose(now, session, why, Some(Reason::Corrupt));
    }
}

/// So often both come again when two differ and nobody else is here.
const MOST_IN_VAIN: u32 = 3;
