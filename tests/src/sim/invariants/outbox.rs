//! What is queued for a worker is bounded, however slow it is: two vectors, and one exact vector
//! while an evaluation waits for it.

use super::Verdict;

#[derive(Debug, Default)]
pub(in crate::sim) struct Outbox;

impl Outbox {
    /// Chunks of weights and of exact weights that are on their way to one worker.
    pub(in crate::sim) fn check(&self, (weights, exact): (usize, usize), chunks: usize) -> Verdict {
        if weights > 2 * chunks || exact > chunks {
            return Err(format!(
                "outbox: {weights} chunks of weights and {exact} exact ones are queued for one worker; a vector has {chunks}"
            ));
        }
        Ok(())
    }
}
