//! What people see while a run goes on: a bar on a terminal, lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lockstep_coordinator::notice::Notice;
use lockstep_coordinator::progress::{Record, StepRecord};
use lockstep_core::metrics::{Kind, Report};

use crate::print;

/// Between two lines about steps where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows progress on stderr. A clone shows on the same bar.
#[derive(Clone, Debug)]
pub struct Show {
    bar: Option<ProgressBar>,
    epochs: u64,
    kind: Kind,
    /// Workers come and go only if something is wrong.
    local: bool,
    rows: u64,
    since: Instant,
    line: Instant,
    validation: String,
}

impl Show {
    /// Of a run of so many steps, of which `done` are done.
    pub fn new(total_steps: u64, done: u64, epochs: u64, kind: Kind, local: bool) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(total_steps), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} steps  {msg}  {eta} left");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_position(done);
            bar
        });
        let now = Instant::now();
        Self { bar, epochs, kind, local, rows: 0, since: now, line: now, validation: String::new() }
    }

    /// A line of metrics.
    pub fn record(&mut self, record: &Record) {
        match record {
            Record::Step(step) => self.step(step),
            // The notice says more.
            Record::Skipped { .. } => {}
            Record::Evaluation { epoch, step, sums } => {
                let Some(report) = sums.report(self.kind) else { return };
                self.validation = format!("validation {}", words(&report));
                if self.bar.is_none() {
                    print::note(format!("epoch {epoch}/{}  step {step}  {}", self.epochs, self.validation));
                }
            }
        }
    }

    fn step(&mut self, step: &StepRecord) {
        self.rows += step.rows;
        let rate = self.rows as f64 / self.since.elapsed().as_secs_f64().max(1e-9);
        let text = || {
            let StepRecord { epoch, loss, workers, .. } = step;
            format!("epoch {epoch}/{}  loss {loss:.4}  {rate:.0} rows/s  {workers} workers", self.epochs)
        };
        if let Some(bar) = &self.bar {
            bar.set_position(step.step);
            bar.set_message(format!("{}  {}", text(), self.validation));
        } else if self.line.elapsed() >= LINE_EVERY {
            print::note(format!("step {}/{}  {}", step.step, step.total_steps, text()));
            self.line = Instant::now();
        }
    }

    /// What happened in the cluster, if people should see it now.
    pub fn notice(&self, notice: &Notice) {
        if self.local && matches!(notice, Notice::Joined { .. } | Notice::Waiting { seconds: 0, .. }) {
            return;
        }
        self.say(&notice.to_string());
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print::note(text)),
            None => print::note(text),
        }
    }

    /// The bar has done its work.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `loss 0.0612, accuracy 0.9833`
pub fn words(report: &Report) -> String {
    let Report { loss, accuracy, rmse, mae, r2 } = report;
    let mut words = vec![format!("loss {loss:.4}")];
    let named = [("accuracy", accuracy), ("rmse", rmse), ("mae", mae), ("r2", r2)];
    words.extend(named.iter().filter_map(|(name, value)| value.map(|value| format!("{name} {value:.4}"))));
    words.join(", ")
}
