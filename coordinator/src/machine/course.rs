//! The run's course: from boundary to boundary.

use std::collections::BTreeMap;
use std::time::Duration;

use super::nonfinite::Suspicions;
use super::{Action, Machine, Work, evaluation, step};
use crate::notice::Notice;
use crate::progress::{Evaluation, Record, StepRecord};
use crate::reducer::{Committed, Spike};
use lockstep_core::run::spec::LossSpike;
use lockstep_core::tree::Node;
use lockstep_proto::Session;
use lockstep_proto::message::{End, Evaluated, Outcome, ToWorker};

impl Machine {
    /// Between two steps: what is due, in this order.
    pub(super) fn boundary(&mut self, now: Duration) {
        let step = self.progress.step;
        self.work = Work::Idle;
        self.let_go();
        if self.progress.evaluation_due && !self.stopping {
            self.work = Work::Evaluation(evaluation::Work::new(self.config.pieces));
            return self.reassign_evaluation(now);
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
        if self.staying() < self.config.min_workers {
            return;
        }
        let step = self.progress.step;
        let plan = self.config.plan;
        let in_epoch = step % plan.steps_per_epoch().max(1);
        let present: Vec<bool> =
            (0..plan.shards()).map(|shard| !plan.microbatch(in_epoch, shard).is_empty()).collect();
        let costs = self.costs(now, &self.members.crew());
        let tree = self.tree();
        let assigned: BTreeMap<Session, Vec<Node>> =
            self.balance.settle(now, tree, &costs).iter().cloned().collect();
        if assigned != self.assigned {
            self.generation = self.generation.next();
            self.assigned = assigned;
        }
        let work = step::Work::new(tree, present.clone(), &self.assigned);
        self.actions.push_back(Action::Begin(present));
        self.actions.push_back(Action::Want(work.all().collect()));
        self.step_began = now;
        self.suspicions = Suspicions::default();
        let nodes: Vec<Node> = work.all().collect();
        self.work = Work::Step(work);
        self.choose_audits(&nodes);
        let mut asked = self.cover_audits(now);
        asked.extend(self.assigned.keys().copied());
        for session in asked {
            self.send_nodes(now, session);
        }
        // Someone who joins or is idle takes no part in the assignment, but may help at once.
        self.help(now);
    }

    pub(super) fn committed(&mut self, now: Duration, committed: Committed) {
        let Work::Step(_) = self.work else { return };
        let plan = self.config.plan;
        let seconds = now.saturating_sub(self.step_began).as_secs_f64();
        self.progress.commit(&committed, seconds, plan.steps_per_epoch());
        let loss = committed.summary.mean_loss();
        if let Some(rule) = self.config.loss_spike.filter(|_| !committed.skipped) {
            self.progress.recent_losses.push(rule, committed.summary);
        }
        if let (Some(Spike { loss, median }), Some(rule)) = (committed.spike, self.config.loss_spike) {
            let LossSpike { factor, window } = rule;
            let what = format!(
                "its loss {loss} is more than {factor} times {median}, the median of the {window} steps before"
            );
            self.notice(Notice::Skipped { step: committed.step, what });
        }
        let step = self.progress.step;
        let due = step.is_multiple_of(self.config.evaluate_every) || step >= self.config.total_steps;
        self.progress.evaluation_due = self.config.pieces > 0 && due;
        let epoch = self.progress.epoch(plan.steps_per_epoch());
        if committed.skipped {
            self.actions.push_back(Action::Record(Record::Skipped { step, epoch }));
            return self.boundary(now);
        }
        self.actions.push_back(Action::Record(Record::Step(StepRecord {
            step,
            total_steps: self.config.total_steps,
            epoch,
            loss,
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
        let done = match &mut self.work {
            Work::Evaluation(work) if evaluated.step == self.progress.step => {
                work.take(session, &evaluated.pieces).then(|| work.total())
            }
            _ => None,
        };
        self.evaluated_pieces(now, session, evaluated.step);
        if let Some(sums) = done {
            let step = self.progress.step;
            self.progress.evaluation_due = false;
            self.progress.evaluation = Some(Evaluation { step, sums });
            self.watch(step, sums);
            let epoch = self.progress.epoch(self.config.plan.steps_per_epoch());
            self.actions.push_back(Action::Record(Record::Evaluation { step, epoch, sums }));
            self.boundary(now);
        }
    }

    /// After a stop: nothing is computed any more, or nobody is left to compute it or to decide who is right.
    pub(super) fn stop_if_idle(&mut self, now: Duration) {
        if !self.stopping {
            return;
        }
        match &self.work {
            Work::Idle | Work::Evaluation(_) => self.boundary(now),
            Work::Step(_) if self.members.active().next().is_none() || self.undecided().is_some() => {
                self.work = Work::Abandoned;
                self.actions.push_back(Action::Abandon);
            }
            Work::Step(_) | Work::Abandoned | Work::Ended => {}
        }
    }

    pub(super) fn finish(&mut self, outcome: Outcome, text: String) {
        self.work = Work::Ended;
        let end = End { outcome, text: text.clone() };
        self.end = Some(end.clone());
        for session in self.members.all() {
            self.send(session, ToWorker::End(end.clone()));
            self.actions.push_back(Action::Close(session));
        }
        self.actions.push_back(Action::Finish(outcome, text));
    }
}
