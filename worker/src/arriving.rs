//! W of one step, shared between who receives it and who computes with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use lockstep_core::model::Weights;

/// The layers of W(step) that are here; the others come, in any order, or do not.
#[derive(Debug)]
pub struct Arriving {
    /// Each is set once, when it is whole; one without parameters from the beginning. The last stands for
    /// the running statistics, which come when all others have.
    layers: Vec<OnceLock<Vec<f32>>>,
    front: Mutex<Front>,
    moved: Condvar,
    retired: AtomicBool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Front {
    /// So many of the first layers are here.
    layers: usize,
    /// No more will come.
    closed: bool,
}

impl Arriving {
    /// Of layers with so many values.
    pub(crate) fn new(sizes: impl Iterator<Item = usize>) -> Self {
        let layer = |size| if size == 0 { OnceLock::from(Vec::new()) } else { OnceLock::new() };
        let layers = sizes.map(layer).collect();
        let arriving =
            Self { layers, front: Mutex::default(), moved: Condvar::new(), retired: AtomicBool::new(false) };
        arriving.advance();
        arriving
    }

    /// How many of the first layers are here.
    pub fn here(&self) -> usize {
        self.front().layers
    }

    /// Waits until more than `done` of the first layers are here: how many. `None` if they do not come.
    pub fn wait(&self, done: usize) -> Option<usize> {
        let waits = |front: &mut Front| front.layers <= done && !front.closed;
        let front = self.moved.wait_while(self.front(), waits).unwrap_or_else(PoisonError::into_inner);
        Some(front.layers).filter(|layers| *layers > done)
    }

    /// A layer is whole.
    pub(crate) fn put(&self, layer: usize, values: Vec<f32>) {
        if let Some(place) = self.layers.get(layer) {
            // Whoever fills it does so once.
            let _ = place.set(values);
        }
        self.advance();
    }

    /// Whoever waits for the rest goes on without.
    pub(crate) fn close(&self) {
        self.front().closed = true;
        self.moved.notify_all();
    }

    /// Its step is committed: nobody wants a gradient at these weights any more.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Whether what is computed at these weights is still wanted, as far as is known here.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// The memory of its layers.
    pub(crate) fn into_layers(self) -> impl Iterator<Item = Vec<f32>> {
        self.layers.into_iter().map(|layer| layer.into_inner().unwrap_or_default())
    }

    fn advance(&self) {
        let mut front = self.front();
        while self.layers.get(front.layers).is_some_and(|next| next.get().is_some()) {
            front.layers += 1;
        }
        self.moved.notify_all();
    }

    /// Nothing that panics runs under the lock.
    fn front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Weights<f32> for Arriving {
    fn layer(&self, index: usize) -> &[f32] {
        self.layers.get(index).and_then(OnceLock::get).map_or(&[], Vec::as_slice)
    }
}

impl PartialEq for Arriving {
    /// The same values are here.
    fn eq(&self, other: &Self) -> bool {
        self.layers == other.layers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_passes_layers_that_came_early_or_have_no_parameters() {
        let weights = Arriving::new([0, 2, 0, 1].into_iter());
        assert_eq!(weights.here(), 1);
        weights.put(3, vec![9.0]);
        assert_eq!(weights.here(), 1);
        weights.put(1, vec![1.0, 2.0]);
        assert_eq!((weights.here(), weights.wait(1)), (4, Some(4)));
        assert_eq!(weights.layer(1), [1.0, 2.0]);
    }

    #[test]
    fn whoever_waits_is_told_that_no_more_will_come() {
        let weights = Arriving::new([1, 1].into_iter());
        let (first, second) = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| (weights.wait(0), weights.wait(1)));
            weights.put(0, vec![1.0]);
            weights.close();
            waiting.join().unwrap()
        });
        assert_eq!((first, second), (Some(1), None));
    }
}
