//! A gradient or a loss that is not finite.
//!
//! ```text
//! a node of worker A is not finite ─▶ given to worker B ─┬▶ finite: A is named, the step goes on
//!                                                        └▶ neither: B says where its numbers stop to
//!                     (nobody else is here: A) ─────────────▶ be finite, then stop, or skip the step
//! ```
//!
//! Nothing of it ever reaches the weights: the reducer refuses such chunks. And a step is left out only
//! where a worker has named the number: a worker that is asked and does not answer, or finds nothing, is
//! put out, and after a few of them the run stops. So neither the clock nor a passing fault decides what
//! is trained on.

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep_core::run::spec::OnNonfinite;
use lockstep_core::tree::Node;
use lockstep_proto::Session;
use lockstep_proto::message::{Explain, Explained, Found, Outcome, Reason, ToWorker};

use super::{Action, Machine, Work};
use crate::notice::Notice;

/// What is known of the open step's bad nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Suspicions {
    /// Who found each node not to be finite, with their names.
    found: BTreeMap<Node, Vec<(Session, String)>>,
    /// Who was asked where, of which node, and until when an answer is waited for.
    asked: Option<(Session, Node, Duration)>,
    /// How often whoever was asked found nothing.
    in_vain: u32,
}

impl Suspicions {
    /// Whose numbers were not finite, of a node that is done now.
    pub(super) fn cleared(&mut self, node: Node) -> Vec<String> {
        let found = self.found.remove(&node).unwrap_or_default();
        found.into_iter().map(|(_, name)| name).collect()
    }

    /// The session has ended: what it was asked, it will not answer.
    pub(super) fn lose(&mut self, session: Session) {
        self.asked.take_if(|(asked, ..)| *asked == session);
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.asked.map(|(.., until)| until)
    }
}

impl Machine {
    /// The reducer has refused a chunk of this node.
    pub(super) fn not_finite(&mut self, now: Duration, session: Session, node: Node) {
        let Some(member) = self.members.get(session) else { return };
        let name = member.hello.name.clone();
        if !matches!(self.work, Work::Step(_)) {
            return;
        }
        let found = self.suspicions.found.entry(node).or_default();
        if found.iter().any(|(other, _)| *other == session) {
            return;
        }
        found.push((session, name));
        if let [(first, _)] = found[..] {
            let mut others = self.candidates(now);
            others.retain(|other| other.session != first);
            let Work::Step(work) = &mut self.work else { return };
            if let Some(other) = work.give_again(node, first, &others) {
                self.generation = self.generation.next();
                self.send_nodes(now, other);
            }
        }
        self.complete_audits(now);
        self.ask_suspects(now);
    }

    /// A node that would be computed again by whoever has found it not to be finite need not be, nor one
    /// that two have found so, whoever else is at it: one of them is asked where.
    pub(super) fn ask_suspects(&mut self, now: Duration) {
        let Work::Step(work) = &self.work else { return };
        if self.suspicions.asked.is_some() {
            return;
        }
        let suspect = self.suspicions.found.iter().find_map(|(node, found)| {
            let is_owner = |session: &Session| work.owner(*node) == Some(*session);
            let mut here = found.iter().map(|(session, _)| *session).filter(|session| self.knows(*session));
            let enough = here.clone().any(|session| is_owner(&session)) || found.len() >= 2;
            let asked = here.clone().find(is_owner).or_else(|| here.next());
            asked.filter(|_| enough).map(|session| (session, *node))
        });
        if let Some((session, node)) = suspect {
            self.suspicions.asked = Some((session, node, now + LONGEST_SEARCH));
            let explain = Explain { step: self.progress.step, node };
            self.send(session, ToWorker::Explain(explain));
        }
    }

    pub(super) fn explained(&mut self, now: Duration, session: Session, explained: Explained) {
        let Explained { of, found } = explained;
        let answer = |(asked, node, _): &mut (Session, Node, Duration)| (*asked, *node) == (session, of.node);
        if of.step != self.progress.step || self.suspicions.asked.take_if(answer).is_none() {
            return;
        }
        let Some(Found { shard, row, place }) = found else {
            let why = "its numbers were not finite, and are when it looks at them again";
            return self.in_vain(now, session, of.node, why);
        };
        let who = self.who(of.node);
        let at = row.map(|row| format!(" for training row {}", row.saturating_add(1))).unwrap_or_default();
        self.give_up(of.step, format!("shard {shard}: {place} is not finite{at} (as {who} computed)"));
    }

    /// An answer did not come in time.
    pub(super) fn search_is_late(&mut self, now: Duration) {
        if let Some((session, node, _)) = self.suspicions.asked.take_if(|(.., until)| *until <= now) {
            self.in_vain(now, session, node, "its numbers were not finite, and it does not say where");
        }
    }

    /// A worker does not compute a node twice in a session; when it comes again, it does.
    fn in_vain(&mut self, now: Duration, session: Session, node: Node, why: &str) {
        self.suspicions.in_vain += 1;
        if self.suspicions.in_vain <= MOST_IN_VAIN {
            return self.lose(now, session, why.into(), Some(Reason::Late));
        }
        let who = self.who(node);
        let what = format!("shards {node}: the loss or the gradient is not finite (as {who} computed)");
        self.stop_at(self.progress.step, &what);
    }

    fn who(&self, node: Node) -> String {
        let workers = self.suspicions.found.get(&node).into_iter().flatten();
        workers.map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(" and ")
    }

    /// Whoever computes it, the step is not finite.
    pub(super) fn give_up(&mut self, step: u64, what: String) {
        if !matches!(self.work, Work::Step(_)) || step != self.progress.step {
            return;
        }
        match self.config.on_nonfinite {
            OnNonfinite::Stop => self.stop_at(step, &what),
            OnNonfinite::Skip => {
                self.notice(Notice::Skipped { step, what });
                self.actions.push_back(Action::Skip);
            }
        }
    }

    fn stop_at(&mut self, step: u64, what: &str) {
        let text = format!(
            "step {step}, {what}; nothing of this step was kept. A smaller learning rate or \
             train.clip_norm may help; train.on_nonfinite = \"skip\" leaves such steps out"
        );
        self.finish(Outcome::Failed, text);
    }
}

/// So often a step is given another chance when a worker finds its own numbers to be finite after all.
const MOST_IN_VAIN: u32 = 3;

/// How long a worker may look for the number, after which the run does without.
const LONGEST_SEARCH: Duration = Duration::from_secs(60);
