//! What each worker was asked for, when it is late with it, and when it is hung.
//!
//! ```text
//!  asked ──answered in time──▶ idle: may be asked for what others are late with
//!    │
//!    ├─ due ─────────▶ late: an idle worker computes its open parts too, the first answer wins
//!    └─ nothing moved for very long ─▶ hung: its session ends, it may come again
//! ```
//!
//! A worker's work moves when it answers, when a chunk of a gradient comes from it, when it lets go of
//! old weights, and while it joins when it takes rows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::duty::{Duty, Question};
use super::pace::Kind;
use super::step::Candidate;
use super::{Action, Machine, Work};
use crate::notice::Notice;
use lockstep_core::tree::{Node, Tree};
use lockstep_proto::Session;
use lockstep_proto::message::{Assign, Computed, Evaluate, Reason, ToWorker};

/// People are told again that a worker is late after so long.
const LATE_NOTICE: Duration = Duration::from_secs(60);

impl Machine {
    /// A worker is sent what it has to compute in the open step.
    pub(super) fn send_nodes(&mut self, now: Duration, session: Session) {
        let Work::Step(work) = &self.work else { return };
        let (nodes, units) = (work.nodes_of(session), work.load(session));
        if nodes.is_empty() {
            return;
        }
        let (generation, step) = (self.generation, self.progress.step);
        self.ask(now, session, Question { kind: Kind::Shards, generation, step, units });
        let assign = Assign { generation, step, nodes };
        self.actions.push_back(Action::Send(session, ToWorker::Assign(assign)));
    }

    /// The same of an evaluation.
    pub(super) fn send_pieces(&mut self, now: Duration, session: Session) {
        let Work::Evaluation(work) = &self.work else { return };
        let pieces = work.open_of(session);
        let units = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        let (generation, step) = (self.generation, self.progress.step);
        self.ask(now, session, Question { kind: Kind::Pieces, generation, step, units });
        self.actions.push_back(Action::SendExact(session));
        let evaluate = Evaluate { generation, step, pieces };
        self.actions.push_back(Action::Send(session, ToWorker::Evaluate(evaluate)));
    }

    fn ask(&mut self, now: Duration, session: Session, question: Question) {
        let patience = self.pace.patience(session, question.kind, question.units);
        if let Some(member) = self.members.get_mut(session) {
            member.duty = Some(Duty::ask(member.duty, now, question, patience));
        }
    }

    /// A worker's job is done; so is its processor's part, though chunks may wait for grants.
    pub(super) fn computed(&mut self, now: Duration, session: Session, computed: Computed) {
        let Some((member, _)) = self.members.moved(session, now) else { return };
        let Computed { generation, step, shards, micros } = computed;
        if shards > 0 {
            self.pace.computed(now, session, shards, micros);
        }
        let Some(duty) = member.duty else { return };
        if let Some(question) = duty.answers(generation, step).filter(|_| shards > 0) {
            self.pace.answered(session, question.kind, question.units, now.saturating_sub(duty.since));
        }
        let Question { kind, generation: newest, step: last, .. } = duty.asked;
        self.answered(now, session, (kind, newest, last) == (Kind::Shards, generation, step));
    }

    /// A worker evaluated pieces, which have been taken.
    pub(super) fn evaluated_pieces(&mut self, now: Duration, session: Session, step: u64) {
        let Some((member, _)) = self.members.moved(session, now) else { return };
        let Some(duty) = member.duty else { return };
        let open = matches!(self.work, Work::Evaluation(_)) && self.has_open(session);
        let newest = (duty.asked.kind, duty.asked.step) == (Kind::Pieces, step) && !open;
        if newest && duty.earlier.is_none() {
            self.pace.answered(session, Kind::Pieces, duty.asked.units, now.saturating_sub(duty.since));
        }
        self.answered(now, session, newest);
    }

    /// A worker lets go of weights older than `step`: it computes nothing at them any more.
    pub(super) fn released(&mut self, now: Duration, session: Session, step: u64) {
        let Some((member, _)) = self.members.moved(session, now) else { return };
        // A claim past what it was sent is no claim.
        let Some(duty) = member.duty.as_mut().filter(|_| step <= self.progress.step + 1) else { return };
        if duty.asked.step < step {
            member.duty = None;
        } else if duty.earlier.is_some_and(|earlier| earlier.step < step) {
            let patience = self.pace.patience(session, duty.asked.kind, duty.asked.units);
            duty.begins(now, patience);
        }
        self.help(now);
    }

    /// The newest question is answered, or one before it.
    fn answered(&mut self, now: Duration, session: Session, newest: bool) {
        let (step, open) = (self.progress.step, matches!(self.work, Work::Step(_) | Work::Evaluation(_)));
        let Some(member) = self.members.get_mut(session) else { return };
        if let Some(duty) = &mut member.duty {
            let patience = self.pace.patience(session, duty.asked.kind, duty.asked.units);
            // What was asked for in a step that is over is not begun any more.
            if newest || duty.asked.step < step || !open {
                member.duty = None;
            } else {
                duty.begins(now, patience);
            }
        }
        // In the first step nobody knows how long one takes, until the first has answered.
        for (session, member) in self.members.iter_mut() {
            if let Some(duty) = member.duty.as_mut().filter(|duty| !duty.measured) {
                let patience = self.pace.patience(session, duty.asked.kind, duty.asked.units);
                if patience.measured {
                    duty.wait(duty.since, patience);
                }
            }
        }
        self.help(now);
    }

    /// When a worker is late or hung next.
    pub(super) fn first_due(&self) -> Option<Duration> {
        let due = |(session, member): (Session, &super::members::Member)| {
            let late = member.duty.filter(|duty| !duty.late).map(|duty| duty.due);
            let hung = member.stalled(session, &self.pace).map(|(since, limit)| since + limit);
            late.into_iter().chain(hung).min()
        };
        self.members.iter().filter_map(due).min()
    }

    /// Those who are late are helped, those who are hung are put out.
    pub(super) fn check_duties(&mut self, now: Duration) {
        let mut late = false;
        for (_, member) in self.members.iter_mut() {
            if let Some(duty) = member.duty.as_mut().filter(|duty| duty.due <= now && !duty.late) {
                duty.late = true;
                late = true;
            }
        }
        if late {
            self.help(now);
        }
        let stalled = self.members.iter().filter_map(|(session, member)| {
            let (since, limit) = member.stalled(session, &self.pace)?;
            (since + limit <= now).then(|| (session, now.saturating_sub(since)))
        });
        for (session, time) in stalled.collect::<Vec<_>>() {
            let why = format!("it lives, but nothing moved in its work for {} s", time.as_secs());
            self.lose(now, session, why, Some(Reason::Hung));
        }
    }

    /// What late workers have open is given to idle ones too.
    pub(super) fn help(&mut self, now: Duration) {
        let is_late = |duty: Option<Duty>| duty.is_some_and(|duty| duty.late || duty.due <= now);
        let late: BTreeSet<Session> = self
            .members
            .iter()
            .filter(|(_, member)| is_late(member.duty))
            .map(|(session, _)| session)
            .collect();
        if late.is_empty() {
            return;
        }
        let idle = self.members.iter().filter(|(_, member)| member.stays() && member.duty.is_none());
        let idle: Vec<Session> = idle.map(|(session, _)| session).collect();
        let open: Vec<Session> = late.iter().copied().filter(|session| self.has_open(*session)).collect();
        let touched = match &mut self.work {
            Work::Step(work) => {
                let needs: BTreeMap<Node, usize> = work.all().map(|node| (node, work.needs(node))).collect();
                let needs = |node| needs.get(&node).copied().unwrap_or(1);
                work.help(&late, &idle, |node: Node| 1 << node.level, needs)
            }
            Work::Evaluation(work) => work.help(&late, &idle, |_| 1, |_| 1),
            Work::Idle | Work::Abandoned | Work::Ended => BTreeSet::new(),
        };
        if touched.is_empty() {
            return;
        }
        let step = self.progress.step;
        for session in open {
            let Some(member) = self.members.get_mut(session) else { continue };
            if member.told_late.is_none_or(|told| now >= told + LATE_NOTICE) {
                member.told_late = Some(now);
                let worker = member.hello.name.clone();
                self.notice(Notice::Late { worker, step });
            }
        }
        self.generation = self.generation.next();
        for session in touched {
            self.send_nodes(now, session);
            if matches!(self.work, Work::Evaluation(_)) {
                self.send_pieces(now, session);
            }
        }
    }

    /// Whether something that it was asked for is open.
    pub(super) fn has_open(&self, session: Session) -> bool {
        match &self.work {
            Work::Step(work) => !work.open_of(session).is_empty(),
            Work::Evaluation(work) => !work.open_of(session).is_empty(),
            Work::Idle | Work::Abandoned | Work::Ended => false,
        }
    }

    /// Open nodes without a worker go to those who are done with them first.
    pub(super) fn reassign_step(&mut self, now: Duration) {
        let candidates = self.candidates(now);
        let Work::Step(work) = &mut self.work else { return };
        let (mut touched, new) = work.place(&candidates);
        if !new.is_empty() {
            self.actions.push_back(Action::Want(new.clone()));
            self.choose_audits(&new);
        }
        touched.extend(self.cover_audits(now));
        if touched.is_empty() {
            return;
        }
        self.generation = self.generation.next();
        for session in touched {
            self.send_nodes(now, session);
        }
    }

    /// Those who can be given nodes.
    pub(super) fn candidates(&self, now: Duration) -> Vec<Candidate> {
        let duty = |session| self.members.get(session).and_then(|member| member.duty);
        let load = |session| duty(session).map_or(0, |duty| duty.asked.units);
        let costs = self.costs(now, &self.members.crew()).into_iter();
        costs.map(|(session, cost)| Candidate { session, cost, load: load(session) }).collect()
    }

    pub(super) fn reassign_evaluation(&mut self, now: Duration) {
        let costs = self.costs(now, &self.members.crew());
        let Work::Evaluation(work) = &mut self.work else { return };
        let touched = work.place(&costs);
        if touched.is_empty() {
            return;
        }
        self.generation = self.generation.next();
        for session in touched {
            self.send_pieces(now, session);
        }
    }

    /// What a shard costs each of these workers. One that is late, and still owes an answer to an earlier
    /// step, costs at least the time since then.
    pub(super) fn costs(&self, now: Duration, workers: &[Session]) -> Vec<(Session, u64)> {
        let threads: BTreeMap<Session, u32> =
            self.members.iter().map(|(session, member)| (session, member.threads)).collect();
        let cost = |session: Session| {
            let duty = self.members.get(session).and_then(|member| member.duty);
            let owed = duty
                .filter(|duty| duty.due <= now)
                .and_then(|duty| Some(now.saturating_sub(duty.since) / duty.earlier?.units.max(1)));
            let owed = owed.unwrap_or_default();
            let owed = u64::try_from(owed.as_nanos()).unwrap_or(u64::MAX);
            self.pace.cost(session, &threads).max(owed)
        };
        workers.iter().map(|session| (*session, cost(*session))).collect()
    }

    pub(super) fn tree(&self) -> Tree {
        Tree::new(self.config.plan.shards())
    }
}
