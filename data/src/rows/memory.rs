//! Blocks in memory: those used longest ago make room for others.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Table;

/// Blocks, with when they were used. Time is a count of steps that is given.
#[derive(Debug, Default)]
pub(super) struct Memory {
    held: BTreeMap<usize, Held>,
    loading: BTreeMap<usize, u64>,
    bytes: u64,
    most: u64,
    now: u64,
}

#[derive(Debug)]
struct Held {
    table: Arc<Table>,
    bytes: u64,
    used: u64,
}

impl Memory {
    /// Of at most so many bytes, and at least one block.
    pub(super) fn new(most: u64) -> Self {
        Self { most, ..Self::default() }
    }

    /// The rows of another step are gathered from now on.
    pub(super) fn tick(&mut self) {
        self.now += 1;
    }

    /// A block that is here.
    pub(super) fn get(&mut self, index: usize) -> Option<Arc<Table>> {
        let held = self.held.get_mut(&index)?;
        held.used = self.now;
        Some(held.table.clone())
    }

    /// Whether somebody reads it.
    pub(super) fn is_loading(&self, index: usize) -> bool {
        self.loading.contains_key(&index)
    }

    /// Somebody reads it from now on, until [`Memory::put`] or [`Memory::failed`].
    pub(super) fn load(&mut self, index: usize, bytes: u64) {
        self.loading.insert(index, bytes);
    }

    /// Whether a block of so many bytes that will be needed has room besides those that are needed now,
    /// which are all that this step or the one before has used.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        let needed = self.held.values().filter(|held| held.used + 1 >= self.now).map(|held| held.bytes);
        let coming = self.loading.values().sum::<u64>();
        needed.sum::<u64>() + coming + bytes <= self.most
    }

    /// Whether it is here or on its way.
    pub(super) fn knows(&self, index: usize) -> bool {
        self.held.contains_key(&index) || self.is_loading(index)
    }

    /// It could not be read.
    pub(super) fn failed(&mut self, index: usize) {
        self.loading.remove(&index);
    }

    /// It is here.
    pub(super) fn put(&mut self, index: usize, table: Arc<Table>, bytes: u64) {
        self.loading.remove(&index);
        self.bytes += bytes;
        if let Some(before) = self.held.insert(index, Held { table, bytes, used: self.now }) {
            self.bytes -= before.bytes;
        }
        while self.bytes > self.most {
            let others = self.held.iter().filter(|(other, _)| **other != index);
            let Some(oldest) = others.min_by_key(|(_, held)| held.used).map(|(other, _)| *other) else {
                return;
            };
            if let Some(gone) = self.held.remove(&oldest) {
                self.bytes -= gone.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Features, Targets};

    fn table() -> Arc<Table> {
        Arc::new(Table::new(vec![1], Features::F32(vec![1.0]), Targets::Absent).unwrap())
    }

    #[test]
    fn what_was_used_longest_ago_goes() {
        let mut memory = Memory::new(30);
        for index in 0..3 {
            memory.tick();
            memory.put(index, table(), 10);
        }
        memory.tick();
        assert!(memory.get(0).is_some());
        memory.put(3, table(), 10);
        let here: Vec<bool> = (0..4).map(|index| memory.get(index).is_some()).collect();
        assert_eq!(here, [true, false, true, true]);
        memory.put(4, table(), 100);
        assert!(memory.get(4).is_some() && memory.get(0).is_none(), "one block always fits");
    }

    #[test]
    fn reading_ahead_takes_nothing_that_is_needed() {
        let mut memory = Memory::new(30);
        memory.tick();
        memory.put(0, table(), 10);
        memory.put(1, table(), 10);
        assert!(memory.has_room(10) && !memory.has_room(11));
        memory.load(2, 10);
        assert!(!memory.has_room(1) && memory.is_loading(2) && memory.knows(2));
        memory.failed(2);
        memory.tick();
        memory.tick();
        assert!(memory.get(1).is_some());
        assert!(memory.has_room(20) && !memory.has_room(21), "block 0 was not used of late");
    }
}
