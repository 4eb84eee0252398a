//! A coordinator, as it is seen from outside.

use lockstep_coordinator::view::{Published, Standing, State, View, Window};

use super::exposition::{Exposition, Type};
use super::process::{self, Began};
use super::{HUNG, Status, Subject};

/// A coordinator that is looked at.
#[derive(Debug)]
pub struct Coordinating {
    window: Window,
    began: Began,
}

impl Coordinating {
    /// Through this window.
    pub fn new(window: Window) -> Self {
        Self { window, began: Began::now() }
    }

    /// With ages as they are by now.
    fn view(&self) -> View {
        let Published { at, view } = self.window.newest();
        let mut view = View::clone(&view);
        if let Some(age) = &mut view.checkpoints.age_seconds {
            *age += at.elapsed().as_secs_f64();
        }
        view
    }
}

impl Subject for Coordinating {
    fn live(&self) -> Result<(), String> {
        let Published { at, view } = self.window.newest();
        // Without a driver there is none that could hang: whoever answers this is the process that reads data.
        let driven = view.state != State::Preparing && !view.state.has_ended();
        match at.elapsed() {
            silent if driven && silent > HUNG => {
                Err(format!("the coordinator's thread has not turned for {} s", silent.as_secs()))
            }
            _ => Ok(()),
        }
    }

    fn ready(&self) -> Result<(), String> {
        let state = self.window.newest().view.state;
        if state.is_open() { Ok(()) } else { Err(format!("the run is {}", state.name())) }
    }

    fn metrics(&self) -> String {
        let mut text = Exposition::default();
        expose(&self.view(), &mut text);
        process::expose(self.began, &mut text);
        text.finish()
    }

    fn status(&self) -> Status {
        Status::Coordinator(Box::new(self.view()))
    }
}

fn expose(view: &View, text: &mut Exposition) {
    let number = |number: u64| number as f64;
    let protocol = view.protocol.to_string();
    let build = [
        ("role", "coordinator"),
        ("version", view.version.as_str()),
        ("protocol", protocol.as_str()),
        ("numerics", view.numerics.as_str()),
    ];
    text.info("lockstep_build_info", "What runs.", &build);
    text.info("lockstep_run_info", "Which run.", &[("run", &view.run)]);
    let states = State::ALL.map(|state| (state.name(), f64::from(u8::from(state == view.state))));
    text.labelled(Type::Gauge, "lockstep_run_state", "1 for the run's state, 0 for others.", "state", states);
    let gauge = Type::Gauge;
    text.single(gauge, "lockstep_run_step", "Steps that are done.", number(view.step));
    text.single(gauge, "lockstep_run_steps", "Steps of the whole run.", number(view.total_steps));
    let help = "Epoch of the last step, counted from 1.";
    text.single(gauge, "lockstep_run_epoch", help, number(view.epoch));
    text.single(gauge, "lockstep_run_epochs", "Epochs of the whole run.", number(view.epochs));
    if let Some(loss) = view.loss {
        text.single(gauge, "lockstep_loss", "Mean loss over the rows of the last step.", loss);
    }
    if let Some(rate) = view.learning_rate {
        text.single(gauge, "lockstep_learning_rate", "Of the last step.", rate);
    }
    if let Some(report) = &view.validation {
        let values = [
            ("loss", Some(report.loss)),
            ("accuracy", report.accuracy),
            ("rmse", report.rmse),
            ("mae", report.mae),
            ("r2", report.r2),
        ];
        let values = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
        text.labelled(gauge, "lockstep_validation", "The newest evaluation.", "metric", values);
    }
    let counter = Type::Counter;
    let help = "Rows that were trained on, over all starts of the run.";
    text.single(counter, "lockstep_samples_total", help, number(view.samples));
    text.single(
        counter,
        "lockstep_steps_total",
        "Steps that this process has done.",
        number(view.steps_done),
    );
    let help = "Steps that were left out, over all starts.";
    text.single(counter, "lockstep_steps_skipped_total", help, number(view.steps_skipped));
    let help = "Time inside training steps, over all starts.";
    text.single(counter, "lockstep_train_seconds_total", help, view.train_seconds);
    let phases = [
        ("waiting", view.seconds.waiting),
        ("computing", view.seconds.computing),
        ("reducing", view.seconds.reducing),
        ("evaluating", view.seconds.evaluating),
    ];
    let help = "Where this process's time went.";
    text.labelled(counter, "lockstep_phase_seconds_total", help, "phase", phases);
    let count = |standing| view.workers.iter().filter(|worker| worker.state == standing).count() as f64;
    let workers = Standing::ALL.map(|standing| (standing.name(), count(standing)));
    text.labelled(gauge, "lockstep_workers", "Workers that are here.", "state", workers);
    let help = "Workers that took part, over all starts.";
    text.single(counter, "lockstep_workers_joined_total", help, number(view.workers_joined));
    let help = "Workers that were lost, over all starts.";
    text.single(counter, "lockstep_workers_lost_total", help, number(view.workers_lost));
    let bytes = [("up", number(view.bytes.up)), ("down", number(view.bytes.down))];
    let help = "Payload of gradients from workers (up) and of weights to them (down).";
    text.labelled(counter, "lockstep_payload_bytes_total", help, "direction", bytes);
    let refused = view.refused_messages.iter().map(|(reason, count)| (reason.as_str(), number(*count)));
    let help = "Messages that were refused.";
    text.labelled(counter, "lockstep_refused_messages_total", help, "reason", refused);
    let refused = view.refused_workers.iter().map(|(reason, count)| (reason.as_str(), number(*count)));
    let help = "Workers that were refused or put out.";
    text.labelled(counter, "lockstep_refused_workers_total", help, "reason", refused);
    let help = "Nodes of the tree that were computed again because their worker was lost.";
    text.single(counter, "lockstep_nodes_recomputed_total", help, number(view.nodes.recomputed));
    let help = "Nodes that two workers computed alike, over all starts.";
    text.single(counter, "lockstep_nodes_audited_total", help, number(view.nodes.audited));
    let saved = &view.checkpoints;
    if let Some(step) = saved.step {
        text.single(gauge, "lockstep_checkpoint_step", "Of the newest checkpoint.", number(step));
    }
    if let Some(age) = saved.age_seconds {
        let help = "Since this process last wrote a checkpoint.";
        text.single(gauge, "lockstep_checkpoint_age_seconds", help, age);
    }
    let results = [("written", number(saved.written)), ("failed", number(saved.failed))];
    text.labelled(
        counter,
        "lockstep_checkpoints_total",
        "Checkpoints, by what came of them.",
        "result",
        results,
    );
    let help = "Time that writing checkpoints took, beside the steps.";
    text.single(counter, "lockstep_checkpoint_write_seconds_total", help, saved.write_seconds);
}

#[cfg(test)]
mod tests {
    use lockstep_coordinator::view;

    use super::*;

    fn seen(state: State) -> Coordinating {
        let (_, window) = view::channel(View { state, ..View::default() });
        Coordinating::new(window)
    }

    #[test]
    fn it_is_ready_while_workers_may_come() {
        let ready = State::ALL.map(|state| seen(state).ready().is_ok());
        assert_eq!(ready, [false, true, true, true, false, false, false, false]);
        assert_eq!(seen(State::Preparing).ready().unwrap_err(), "the run is preparing");
    }

    #[test]
    fn what_is_not_known_yet_is_left_out() {
        let mut text = Exposition::default();
        expose(&View::default(), &mut text);
        let text = text.finish();
        assert!(text.contains("lockstep_run_state{state=\"preparing\"} 1\n"), "{text}");
        assert!(!text.contains("lockstep_loss") && !text.contains("checkpoint_age"), "{text}");
    }
}
