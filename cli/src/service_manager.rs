//! What systemd is told of a unit with `Type=notify`: sd_notify(3). Without it, nothing is.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The unit has started. Nobody to tell is no failure.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The unit is on its way out: a checkpoint, or the end of a step.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager could not be told: {error}");
    }
}

/// Signs of life for `WatchdogSec=`: at most three in each such time, whatever the loop's pace.
#[derive(Debug)]
pub struct Watchdog {
    every: Option<Duration>,
    told: Option<Instant>,
}

impl Watchdog {
    /// As the service manager asks; none without it.
    pub fn of_unit() -> Self {
        let every = sd_notify::watchdog_enabled().map(|within| within / 3);
        Self { every: every.filter(|every| !every.is_zero()), told: None }
    }

    /// The time between two signs of life, if any are wanted.
    pub fn every(&self) -> Option<Duration> {
        self.every
    }

    /// The loop that this watches has turned.
    pub fn turned(&mut self) {
        let Some(every) = self.every else { return };
        if self.told.is_none_or(|told| told.elapsed() >= every) {
            self.told = Some(Instant::now());
            tell(&[NotifyState::Watchdog]);
        }
    }
}
