//! What waits to be sent to one worker on its tensor stream, the most urgent first.
//!
//! ```text
//! grants ▷ weights of the older step ▷ lower chunks ▷ higher chunks
//! ```
//!
//! Backward finishes the last layer first, so a step's first layers are updated last; but the next
//! forward pass needs them first. On a slow link they must not queue behind what was ready earlier.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use lockstep_proto::message::{Down, Weights};
use tokio_stream::Stream;

/// A queue of messages to one worker. A newer grant takes the place of an older one, and so do the exact
/// weights of a newer step: an evaluation may be over before a slow worker has taken its weights.
#[derive(Debug, Default)]
pub struct Outbox {
    grant: Option<(u64, u32)>,
    /// The step of the newest exact weights.
    exact: u64,
    weights: BTreeMap<(u64, u32, bool), Weights>,
}

impl Outbox {
    /// Adds a message.
    pub fn push(&mut self, message: Down) {
        match message {
            Down::Grant { step, chunks } => self.grant = self.grant.max(Some((step, chunks))),
            Down::Weights(weights) => {
                if weights.exact && weights.step > self.exact {
                    self.exact = weights.step;
                    self.weights.retain(|(_, _, exact), _| !exact);
                }
                self.weights.insert((weights.step, weights.chunk, weights.exact), weights);
            }
        }
    }

    /// The most urgent message.
    pub fn pop(&mut self) -> Option<Down> {
        if let Some((step, chunks)) = self.grant.take() {
            return Some(Down::Grant { step, chunks });
        }
        self.weights.pop_first().map(|(_, weights)| Down::Weights(weights))
    }
}

/// The two ends of a worker's queue. When the sender is dropped, the stream ends once all is sent.
pub(crate) fn channel() -> (Sender, Outgoing) {
    let shared = Arc::new(Mutex::new(Shared::default()));
    (Sender(shared.clone()), Outgoing(shared))
}

#[derive(Debug, Default)]
struct Shared {
    outbox: Outbox,
    closed: bool,
    waiting: Option<Waker>,
}

/// Where messages are put in.
#[derive(Debug)]
pub(crate) struct Sender(Arc<Mutex<Shared>>);

/// The messages as the connection takes them, each when there is room for it.
#[derive(Debug)]
pub(crate) struct Outgoing(Arc<Mutex<Shared>>);

impl Sender {
    /// Never waits: what can be queued for a worker is bounded by what it releases.
    pub(crate) fn send(&self, message: Down) {
        self.wake(|shared| shared.outbox.push(message));
    }

    fn wake(&self, change: impl FnOnce(&mut Shared)) {
        let waiting = {
            let mut shared = lock(&self.0);
            change(&mut shared);
            shared.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.wake(|shared| shared.closed = true);
    }
}

impl Stream for Outgoing {
    type Item = Down;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Down>> {
        let mut shared = lock(&self.0);
        match shared.outbox.pop() {
            None if !shared.closed => {
                shared.waiting = Some(context.waker().clone());
                Poll::Pending
            }
            message => Poll::Ready(message),
        }
    }
}

/// Nothing that panics runs under the lock.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio_stream::StreamExt;

    use super::*;

    fn weights(step: u64, chunk: u32) -> Down {
        Down::Weights(Weights { step, chunk, exact: false, payload: Bytes::new() })
    }

    #[tokio::test]
    async fn the_lowest_layer_of_the_oldest_step_goes_first_and_grants_before_all() {
        let (sender, outgoing) = channel();
        for message in [weights(5, 3), weights(5, 0), weights(4, 7), weights(5, 2)] {
            sender.send(message);
        }
        sender.send(Down::Grant { step: 5, chunks: 2 });
        sender.send(Down::Grant { step: 5, chunks: 4 });
        drop(sender);
        let order = [weights(4, 7), weights(5, 0), weights(5, 2), weights(5, 3)];
        let sent: Vec<Down> = outgoing.collect().await;
        assert_eq!(sent[0], Down::Grant { step: 5, chunks: 4 });
        assert_eq!(sent[1..], order);
    }

    #[test]
    fn exact_weights_take_the_place_of_older_ones() {
        let exact = |step, chunk| Down::Weights(Weights { step, chunk, exact: true, payload: Bytes::new() });
        let mut outbox = Outbox::default();
        for one in [exact(2, 0), exact(2, 1), weights(3, 0), exact(4, 0), exact(4, 1)] {
            outbox.push(one);
        }
        let left: Vec<Down> = std::iter::from_fn(|| outbox.pop()).collect();
        assert_eq!(left, [weights(3, 0), exact(4, 0), exact(4, 1)]);
    }

    #[tokio::test]
    async fn the_stream_waits_for_messages() {
        let (sender, mut outgoing) = channel();
        let (message, ()) = tokio::join!(outgoing.next(), async { sender.send(weights(1, 0)) });
        assert_eq!(message, Some(weights(1, 0)));
    }
}
