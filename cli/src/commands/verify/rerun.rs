//! Steps computed again, in this process.

use std::time::{Duration, Instant};

use indicatif::HumanDuration;
use lockstep_coordinator::assemble;
use lockstep_coordinator::datasets::Datasets;
use lockstep_coordinator::reducer::Snapshot;
use lockstep_coordinator::store::{digest_of, open_checkpoint};
use lockstep_core::epoch::Order;
use lockstep_core::local::Local;
use lockstep_core::model::Model;
use lockstep_core::run::to_toml;
use lockstep_core::threads::Threads;
use lockstep_worker::task::{Task, empty};

use super::finding::{Finding, What};
use super::record::Record;
use crate::failure::Failure;
use crate::print;

/// Between two lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// After so long it is known how long all of it takes.
const SAMPLE: Duration = Duration::from_secs(1);

/// What was computed again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rerun {
    /// The checkpoint that it began from; 0: the initial weights.
    pub from: u64,
    /// The last step.
    pub to: u64,
    /// Recorded digests that it gave.
    pub equal: usize,
}

/// A run that is ready to be computed again.
pub struct Bench {
    task: Task,
    model: Model,
    total_steps: u64,
}

impl Bench {
    /// # Errors
    /// The rows do not fit the run file.
    pub fn new(record: &Record, model: Model, rows: Datasets) -> Result<Self, Failure> {
        let total_steps = assemble::total_steps(&record.run, &rows);
        let task = Task::new(&to_toml(&record.run), rows.train, None).map_err(Failure::bad)?;
        Ok(Self { task, model, total_steps })
    }

    /// Computes the steps after W(from) up to W(to), and compares every recorded digest on the way. The
    /// first that differs ends it: what follows differs too.
    ///
    /// # Errors
    /// The system refuses, or a checkpoint has changed meanwhile.
    pub fn run(&self, record: &mut Record, from: u64, to: u64, threads: Threads) -> Result<Rerun, Failure> {
        let points = record.points();
        let mut local = Local::new(record.run.clone(), self.model.clone(), self.total_steps).on(threads);
        if let Some((folder, _)) = record.checkpoints.get(&from) {
            let checkpoint = open_checkpoint(folder)?;
            local =
                local.at(from, checkpoint.weights, checkpoint.optimizer, checkpoint.progress.recent_losses);
        }
        let mut done = Rerun { from, to, equal: 0 };
        let mut order = self.task.order();
        let mut progress = Progress::new(from, to);
        while local.step() < to {
            self.step(&mut local, &mut order)?;
            let step = local.step();
            progress.show(step);
            let Some(recorded) = points.get(&step) else { continue };
            let digest = digest_of(self.model.layout(), &snapshot(&local));
            let wrong: Vec<Finding> = recorded
                .iter()
                .filter(|(_, expected)| *expected != digest)
                .map(|(place, expected)| {
                    let text = format!("{place}: step {step} has {expected}, computed again it is {digest}");
                    Finding::at(What::Steps, step, text)
                })
                .collect();
            done.equal += recorded.len() - wrong.len();
            if !wrong.is_empty() {
                record.findings.extend(wrong);
                done.to = step;
                return Ok(done);
            }
            record.findings.extend(wrong_models(record, &local));
        }
        Ok(done)
    }

    fn step(&self, local: &mut Local, order: &mut Order) -> Result<(), Failure> {
        let mut microbatches = Vec::new();
        for shard in 0..self.task.run.cluster.shards {
            let mut microbatch = empty();
            self.task.load_step(order, local.step(), shard, &mut microbatch).map_err(Failure::failed)?;
            microbatches.push(microbatch);
        }
        local.advance(&mut microbatches);
        Ok(())
    }
}

fn snapshot(local: &Local) -> Snapshot {
    let optimizer = local.optimizer().state().map(|(name, values)| (name, values.to_vec())).collect();
    Snapshot { step: local.step(), weights: local.weights().to_vec(), optimizer }
}

/// Models of this step with other weights.
fn wrong_models(record: &Record, local: &Local) -> Vec<Finding> {
    let step = local.step();
    let same = |weights: &[f32]| {
        let pairs = weights.iter().zip(local.weights());
        weights.len() == local.weights().len() && pairs.into_iter().all(|(a, b)| a.to_bits() == b.to_bits())
    };
    let wrong = record.models.iter().filter(|(_, model)| model.step == step && !same(&model.weights));
    let text =
        |path: &std::path::Path| format!("{}: its weights are not those of step {step}", path.display());
    wrong.map(|(path, _)| Finding::at(What::Model, step, text(path))).collect()
}

/// Says how long it takes, once that is known, and how far it is.
struct Progress {
    from: u64,
    to: u64,
    began: Instant,
    line: Instant,
    told: bool,
}

impl Progress {
    fn new(from: u64, to: u64) -> Self {
        let now = Instant::now();
        Self { from, to, began: now, line: now, told: false }
    }

    fn show(&mut self, step: u64) {
        let (elapsed, done) = (self.began.elapsed(), (step - self.from) as f64);
        let left = elapsed.mul_f64((self.to - step) as f64 / done);
        if !self.told && elapsed >= SAMPLE {
            self.told = true;
            let (steps, left) = (self.to - self.from, HumanDuration(left));
            print::note(format!("computing {steps} steps again, from step {}: about {left}", self.from));
        } else if self.line.elapsed() >= LINE_EVERY {
            self.line = Instant::now();
            print::note(format!("step {step} of {}, about {} left", self.to, HumanDuration(left)));
        }
    }
}
