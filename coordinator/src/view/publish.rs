//! From the driver to whoever looks: the newest view, exchanged whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::View;

/// A view, and when it was true.
#[derive(Clone, Debug)]
pub struct Published {
    /// The driver was alive then.
    pub at: Instant,
    /// What it saw.
    pub view: Arc<View>,
}

/// Publishes. Costs nothing while nobody can look.
#[derive(Debug)]
pub struct Publisher {
    sender: watch::Sender<Published>,
    /// What the driver does not know: the run's name and such.
    frame: View,
    last: Option<Duration>,
}

/// Looks. A clone looks at the same.
#[derive(Clone, Debug)]
pub struct Window(watch::Receiver<Published>);

/// Between two views: what is looked at every few seconds need not be newer.
const EVERY: Duration = Duration::from_millis(100);

/// What is seen until something is published is `frame`.
pub fn channel(frame: View) -> (Publisher, Window) {
    let first = Published { at: Instant::now(), view: Arc::new(frame.clone()) };
    let (sender, receiver) = watch::channel(first);
    (Publisher { sender, frame, last: None }, Window(receiver))
}

impl Window {
    /// The newest view.
    pub fn newest(&self) -> Published {
        self.0.borrow().clone()
    }
}

impl Publisher {
    /// Whether it is time for a new view and somebody may look; `now` is the driver's clock.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        !self.sender.is_closed() && self.last.is_none_or(|last| now >= last + EVERY)
    }

    /// What the driver does not know, to be filled in.
    pub(crate) fn frame(&self) -> View {
        self.frame.clone()
    }

    pub(crate) fn publish(&mut self, now: Duration, view: View) {
        self.last = Some(now);
        self.sender.send_replace(Published { at: Instant::now(), view: Arc::new(view) });
    }

    /// What becomes known of the run before its driver starts.
    pub fn describe(&mut self, change: impl FnOnce(&mut View)) {
        change(&mut self.frame);
        self.sender.send_replace(Published { at: Instant::now(), view: Arc::new(self.frame.clone()) });
    }
}
