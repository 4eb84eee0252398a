//! The run's course: from boundary to boundary.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Action, Machine, Work, assignment, evaluation, step};
use crate::notice::Notice;
use crate::progress::{Evaluation, Record, StepRecord};
use crate::reducer::Committed;
use lockstep_core::metrics::Sums;
use lockstep_core::tree::{Node, Tree};
use lockstep_proto::Session;
use lockstep_proto::message::{Assign, End, Evaluate, Evaluated, Outcome, ToWorker};

impl Machine {
    /// Between two steps: what is due, in this order.
    pub(super) fn boundary(&mut self, now: Duration) {
        let step = self.progress.step;
        self.work = Work::Idle;
        if self.progress.evaluation_due && !self.stopping {
            self.work = Work::Evaluation(evaluation::Work::new(self.config.pieces));
            self.note_waiting(now);
            return self.reassign_evaluation();
        }
        let finished = self.nothing_more() && !self.progress.evaluation_due;
        let must = finished || self.stopping;
        if !self.save_if_due(now, must) {
            return;
        }
        if finished {
            let all = step >= self.config.total_steps;
            let text = if all { "all steps are done" } else { "evaluations bring nothing better" };
            return self.finish(Outcome::Finished, text.into());
        }
        if self.stopping {
            return self.finish(Outcome::Stopped, format!("stopped after step {step}"));
        }
        self.begin_step(now);
    }

    pub(super) fn begin_step(&mut self, now: Duration) {
        let active: Vec<Session> = self.members.active().collect();
        if active.is_empty() {
            return self.note_waiting(now);
        }
        let step = self.progress.step;
        let plan = self.config.plan;
        let in_epoch = step % plan.steps_per_epoch().max(1);
        let present: Vec<bool> =
            (0..plan.shards()).map(|shard| !plan.microbatch(in_epoch, shard).is_empty()).collect();
        let tree = Tree::new(plan.shards());
        let assigned: BTreeMap<Session, Vec<Node>> = assignment::assign(tree, &active).into_iter().collect();
        if assigned != self.assigned {
            self.generation = self.generation.next();
            self.assigned = assigned;
        }
        let work = step::Work::new(&present, &self.assigned);
        self.actions.push_back(Action::Begin(present));
        self.actions.push_back(Action::Want(work.nodes().collect()));
        for &session in self.assigned.keys() {
            let nodes = work.nodes_of(session);
            if !nodes.is_empty() {
                let assign = Assign { generation: self.generation, step, nodes };
                self.actions.push_back(Action::Send(session, ToWorker::Assign(assign)));
            }
        }
        self.step_began = now;
        self.work = Work::Step(work);
    }

    pub(super) fn committed(&mut self, now: Duration, committed: Committed) {
        let Work::Step(_) = self.work else { return };
        let plan = self.config.plan;
        let seconds = now.saturating_sub(self.step_began).as_secs_f64();
        self.progress.commit(&committed, seconds, plan.steps_per_epoch());
        let step = self.progress.step;
        let due = step.is_multiple_of(self.config.evaluate_every) || step >= self.config.total_steps;
        self.progress.evaluation_due = self.config.pieces > 0 && due;
        self.actions.push_back(Action::Record(Record::Step(StepRecord {
            step,
            total_steps: self.config.total_steps,
            epoch: self.progress.epoch(plan.steps_per_epoch()),
            loss: committed.summary.loss / committed.summary.weight,
            lr: committed.lr,
            norm: committed.norm,
            rows: committed.summary.rows,
            seconds,
            workers: self.members.active().count(),
        })));
        self.boundary(now);
    }

    pub(super) fn abandoned(&mut self, now: Duration, whole: bool) {
        if !matches!(self.work, Work::Abandoned) {
            return;
        }
        if whole {
            return self.boundary(now);
        }
        let step = self.progress.step;
        let text = format!(
            "stopped in step {step}, whose workers are gone; a resume goes on from the last checkpoint"
        );
        self.finish(Outcome::Stopped, text);
    }

    pub(super) fn evaluated(&mut self, now: Duration, session: Session, evaluated: Evaluated) {
        let Work::Evaluation(work) = &mut self.work else { return };
        if evaluated.step != self.progress.step {
            return;
        }
        if work.take(session, &evaluated.pieces) {
            let sums: Sums = work.total();
            let step = self.progress.step;
            self.progress.evaluation_due = false;
            self.progress.evaluation = Some(Evaluation { step, sums });
            self.watch(step, sums);
            let epoch = self.progress.epoch(self.config.plan.steps_per_epoch());
            self.actions.push_back(Action::Record(Record::Evaluation { step, epoch, sums }));
            self.boundary(now);
        }
    }

    /// After a stop: nothing is computed any more, or nobody is left to compute it.
    pub(super) fn stop_if_idle(&mut self, now: Duration) {
        if !self.stopping {
            return;
        }
        match &self.work {
            Work::Idle | Work::Evaluation(_) => self.boundary(now),
            Work::Step(_) if self.members.active().next().is_none() => {
                self.work = Work::Abandoned;
                self.actions.push_back(Action::Abandon);
            }
            Work::Step(_) | Work::Abandoned | Work::Ended => {}
        }
    }

    pub(super) fn finish(&mut self, outcome: Outcome, text: String) {
        self.work = Work::Ended;
        for session in self.members.all() {
            self.send(session, ToWorker::End(End { outcome, text: text.clone() }));
            self.actions.push_back(Action::Close(session));
        }
        self.actions.push_back(Action::Finish(outcome, text));
    }

    /// Open nodes without a worker go to those who have least.
    pub(super) fn reassign_step(&mut self) {
        let active: Vec<Session> = self.members.active().collect();
        let Work::Step(work) = &mut self.work else { return };
        let touched = work.place(&active);
        if touched.is_empty() {
            return;
        }
        self.generation = self.generation.next();
        let step = self.progress.step;
        for session in touched {
            let nodes = work.nodes_of(session);
            self.assigned.insert(session, nodes.clone());
            let assign = Assign { generation: self.generation, step, nodes };
            self.actions.push_back(Action::Send(session, ToWorker::Assign(assign)));
        }
    }

    pub(super) fn reassign_evaluation(&mut self) {
        let active: Vec<Session> = self.members.active().collect();
        let Work::Evaluation(work) = &mut self.work else { return };
        let touched = work.place(&active);
        if touched.is_empty() {
            return;
        }
        self.generation = self.generation.next();
        let step = self.progress.step;
        for session in touched {
            let evaluate = Evaluate { generation: self.generation, step, pieces: work.pieces_of(session) };
            self.actions.push_back(Action::SendExact(session));
            self.actions.push_back(Action::Send(session, ToWorker::Evaluate(evaluate)));
        }
    }

    pub(super) fn note_waiting(&mut self, now: Duration) {
        if self.members.active().next().is_none() && self.waiting_since.is_none() {
            self.waiting_since = Some((now, now));
            self.notice(Notice::Waiting { step: self.progress.step, seconds: 0 });
        }
    }
}
