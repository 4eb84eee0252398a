//! A run in one process: what every cluster must equal, bit for bit.
//!
//! It shares with the cluster what computes a shard's gradient and what updates the weights, and
//! nothing of who does it, when, in which pieces and over which wire.

use crate::clip;
use crate::gradient::{Engine, Step, Summary};
use crate::model::{Microbatch, Model};
use crate::optimizer::Optimizer;
use crate::run::spec::{OnNonfinite, Run, Wire};
use crate::schedule;
use crate::spike::Recent;
use crate::statistics;
use crate::threads::Threads;
use crate::tree::Tree;

/// A run at W(step).
#[derive(Debug)]
pub struct Local {
    run: Run,
    engine: Engine<f32>,
    total_steps: u64,
    step: u64,
    weights: Vec<f32>,
    optimizer: Optimizer<f32>,
    recent: Recent,
    left_out: Option<LeftOut>,
}

/// Why a step left the weights as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Its loss or gradient is not finite.
    NotFinite,
    /// Its loss is far above those before.
    Spike,
}

impl Local {
    /// At W(0).
    pub fn new(run: Run, model: Model, total_steps: u64) -> Self {
        let weights = model.initial_parameters(run.seed);
        let optimizer = Optimizer::new(run.train.optimizer, model.layout().trained());
        let engine = Engine::new(model, Threads::one());
        Self {
            run,
            engine,
            total_steps,
            step: 0,
            weights,
            optimizer,
            recent: Recent::default(),
            left_out: None,
        }
    }

    /// At W(step), as a checkpoint has it.
    #[must_use]
    pub fn at(mut self, step: u64, weights: Vec<f32>, optimizer: Optimizer<f32>, recent: Recent) -> Self {
        (self.step, self.weights, self.optimizer, self.recent) = (step, weights, optimizer, recent);
        self
    }

    /// Computes on these threads; no bit depends on them.
    #[must_use]
    pub fn on(self, threads: Threads) -> Self {
        let engine = Engine::new(self.engine.model().clone(), threads);
        Self { engine, ..self }
    }

    /// Steps that are done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// W(step), running statistics behind the parameters.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The optimizer after `step` steps.
    pub fn optimizer(&self) -> &Optimizer<f32> {
        &self.optimizer
    }

    /// Why the last step was left out, if it was.
    pub fn left_out(&self) -> Option<LeftOut> {
        self.left_out
    }

    /// One step on the microbatches of all shards; what the rows gave, nothing if the step was left out.
    pub fn advance(&mut self, microbatches: &mut [Microbatch<f32>]) -> Summary {
        let tree = Tree::new(self.run.cluster.shards);
        let wire = self.run.cluster.wire;
        let step = Step { seed: self.run.seed, step: self.step, tree, wire };
        let mut sent = self.weights.clone();
        if wire == Wire::Bf16 {
            crate::bf16::round(&mut sent);
        }
        let mut gradient = vec![0.0; sent.len()];
        let mut summary = Summary::default();
        let layout = self.engine.model().layout().clone();
        self.engine.compute(step, &[tree.root()], &sent, microbatches, |nodes, layer| {
            for node in nodes {
                summary = node.summary;
                let range = layout.layer(layer);
                gradient[range.clone()].copy_from_slice(&node.values[range]);
            }
        });
        let trained = layout.trained();
        let divisor = summary.divisor() as f32;
        gradient[..trained].iter_mut().for_each(|value| *value /= divisor);
        let finite = summary.loss.is_finite() && gradient.iter().all(|value| value.is_finite());
        let spike = self.run.train.loss_spike.filter(|rule| self.recent.exceeded(*rule, summary).is_some());
        self.left_out = if !finite && self.run.train.on_nonfinite == OnNonfinite::Skip {
            Some(LeftOut::NotFinite)
        } else {
            spike.map(|_| LeftOut::Spike)
        };
        if self.left_out.is_some() {
            self.step += 1;
            return Summary::default();
        }
        if let Some(rule) = self.run.train.loss_spike {
            self.recent.push(rule, summary);
        }
        if let Some(most) = self.run.train.clip_norm {
            let factor = clip::factor(clip::norm(&layout, &gradient), most);
            clip::scale(&mut gradient[..trained], factor);
        }
        let factor = schedule::factor(&self.run.train.schedule, self.step, self.total_steps);
        let lr = self.optimizer.learning_rate() * factor;
        let before = self.weights.clone();
        let (gradient, measured) = gradient.split_at(trained);
        let (weights, running) = self.weights.split_at_mut(trained);
        self.optimizer.update(0..trained, self.step, lr, gradient, &before[..trained], weights);
        let range = trained..before.len();
        statistics::update(layout.statistics(), &range, summary.rows, measured, &before[trained..], running);
        self.step += 1;
        summary
    }
}
