//! Rows that are read block by block, when they are needed or a little before.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use tracing::{info, warn};

use super::RowsError;
use super::cache::BlockCache;
use super::catalog::{BlockDigest, Entry, Listing};
use super::memory::Memory;
use crate::{GatherError, Shape, Table, TargetsMut};

/// Threads that read ahead.
const READERS: usize = 2;

/// A place that blocks come from.
pub trait Source: Send + Sync {
    /// What it is, for the log.
    fn name(&self) -> String;

    /// The rows of a block; `None` if it is not here.
    ///
    /// # Errors
    /// What is wrong, for people. Another source is asked then.
    fn read(&self, index: usize, entry: &Entry) -> Result<Option<Table>, String>;
}

/// Rows in blocks.
pub struct Blocks {
    inner: Arc<Inner>,
    queue: Mutex<Option<mpsc::Sender<usize>>>,
}

struct Inner {
    listing: Listing,
    /// The first row of each block.
    starts: Vec<u64>,
    width: usize,
    cache: Option<Arc<BlockCache>>,
    sources: Vec<Box<dyn Source>>,
    memory: Mutex<Memory>,
    /// A block has come, or could not be read.
    settled: Condvar,
}

impl Blocks {
    /// Of these sources, which are asked in this order, after the cache. Holds at most `memory` bytes of
    /// blocks, and at least one block.
    pub fn new(
        listing: Listing,
        memory: u64,
        cache: Option<Arc<BlockCache>>,
        sources: Vec<Box<dyn Source>>,
    ) -> Self {
        let inner = Inner {
            starts: listing.starts(),
            width: listing.shape.width().unwrap_or(1),
            listing,
            cache,
            sources,
            memory: Mutex::new(Memory::new(memory)),
            settled: Condvar::new(),
        };
        Self { inner: Arc::new(inner), queue: Mutex::new(None) }
    }

    /// What the blocks are.
    pub fn listing(&self) -> &Listing {
        &self.inner.listing
    }

    pub(super) fn gather(
        &self,
        rows: &[u64],
        x: &mut [f32],
        targets: TargetsMut<'_>,
    ) -> Result<(), RowsError> {
        self.inner.gather(rows, x, targets)
    }

    pub(super) fn gather_weights(&self, rows: &[u64], to: &mut Vec<f32>) -> Result<(), RowsError> {
        self.inner.gather_weights(rows, to)
    }

    pub(super) fn part(&self, rows: Range<u64>) -> Result<Vec<u8>, RowsError> {
        let (index, start) = self.inner.find(rows.start)?;
        Ok(self.inner.block(index)?.part(rows.start - start..rows.end.saturating_sub(start))?)
    }

    pub(super) fn around(&self, row: u64) -> Range<u64> {
        let end = |(index, start): (usize, u64)| {
            start..start + self.inner.listing.blocks.get(index).map_or(0, |entry| entry.rows)
        };
        self.inner.find(row).map_or(row..row, end)
    }

    pub(super) fn keep(&self, blocks: impl Iterator<Item = usize>) {
        let mut memory = self.inner.memory();
        memory.tick();
        let missing: Vec<usize> = blocks.filter(|index| memory.get(*index).is_none()).collect();
        drop(memory);
        // Those of a first step, or of shards that are new here: all at once instead of one by one.
        missing.into_iter().for_each(|index| self.ahead(index));
    }

    pub(super) fn ahead(&self, index: usize) {
        let Some(entry) = self.inner.listing.blocks.get(index) else { return };
        let bytes = self.inner.bytes(entry);
        {
            let mut memory = self.inner.memory();
            if memory.knows(index) || entry.rows == 0 || !memory.has_room(bytes) {
                return;
            }
            memory.load(index, bytes);
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = queue.get_or_insert_with(|| readers(&self.inner));
        if sender.send(index).is_err() {
            self.inner.settle(index, None);
        }
    }
}

/// They end with the sender.
fn readers(inner: &Arc<Inner>) -> mpsc::Sender<usize> {
    let (sender, receiver) = mpsc::channel();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..READERS {
        let (inner, receiver) = (inner.clone(), receiver.clone());
        let next = move || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let read = move || {
            give_way();
            while let Ok(index) = next() {
                // Whoever needs the block reads it again, and hears what is wrong.
                inner.settle(index, inner.load(index).ok());
            }
        };
        // Without threads blocks are read when they are needed.
        let _ = thread::Builder::new().name("read ahead".into()).spawn(read);
    }
    sender
}

/// Of rows that were asked for: the place among them, and the number in a block.
type Picks = Vec<(usize, u64)>;

/// Lets computing go first where there are too few cores for both: reading ahead has time.
fn give_way() {
    use rustix::process::{getpriority_process, setpriority_process};
    let thread = Some(rustix::thread::gettid());
    // A thread that keeps its priority is only in the way.
    let _ = getpriority_process(thread).and_then(|nice| setpriority_process(thread, (nice + 10).min(19)));
}

impl Inner {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In memory.
    fn bytes(&self, entry: &Entry) -> u64 {
        entry.rows.saturating_mul(4 * (self.width as u64 + 1))
    }

    /// The block of a row, and the block's first row.
    fn find(&self, row: u64) -> Result<(usize, u64), GatherError> {
        let outside = GatherError::NoRow { row, rows: self.listing.shape.rows };
        if row >= self.listing.shape.rows {
            return Err(outside);
        }
        // Of several that start there, all but the last are empty.
        let after = self.starts.partition_point(|start| *start <= row);
        let index = after.checked_sub(1).ok_or_else(|| outside.clone())?;
        Ok((index, self.starts.get(index).copied().ok_or(outside)?))
    }

    fn gather(&self, rows: &[u64], x: &mut [f32], mut targets: TargetsMut<'_>) -> Result<(), RowsError> {
        if rows.len().checked_mul(self.width) != Some(x.len()) {
            return Err(GatherError::Place { what: "features" }.into());
        }
        for (table, picks) in self.picks(rows)? {
            table.check_places(rows.len(), x, &targets)?;
            table.scatter(picks.into_iter(), x, &mut targets)?;
        }
        Ok(())
    }

    fn gather_weights(&self, rows: &[u64], to: &mut Vec<f32>) -> Result<(), RowsError> {
        to.clear();
        if !self.listing.shape.weights {
            return Ok(());
        }
        to.resize(rows.len(), 0.0);
        for (table, picks) in self.picks(rows)? {
            table.scatter_weights(picks.into_iter(), to)?;
        }
        Ok(())
    }

    /// The blocks that rows lie in.
    fn picks(&self, rows: &[u64]) -> Result<Vec<(Arc<Table>, Picks)>, RowsError> {
        // A step's rows lie in few blocks, and follow each other in any order.
        let mut blocks: Vec<(Range<u64>, usize, Picks)> = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            let known = blocks.iter_mut().find(|(range, ..)| range.contains(row));
            match known {
                Some((range, _, picks)) => picks.push((place, row - range.start)),
                None => {
                    let (index, start) = self.find(*row)?;
                    let rows = self.listing.blocks.get(index).map_or(0, |entry| entry.rows);
                    blocks.push((start..start + rows, index, vec![(place, row - start)]));
                }
            }
        }
        blocks.into_iter().map(|(_, index, picks)| Ok((self.block(index)?, picks))).collect()
    }

    /// A block, from memory or wherever it is.
    fn block(&self, index: usize) -> Result<Arc<Table>, RowsError> {
        let mut memory = self.memory();
        loop {
            if let Some(table) = memory.get(index) {
                return Ok(table);
            }
            if !memory.is_loading(index) {
                break;
            }
            memory = self.settled.wait(memory).unwrap_or_else(PoisonError::into_inner);
        }
        memory.load(index, 0);
        drop(memory);
        let loaded = self.load(index);
        self.settle(index, loaded.as_ref().ok().cloned());
        loaded
    }

    fn settle(&self, index: usize, table: Option<Arc<Table>>) {
        let mut memory = self.memory();
        match table.zip(self.listing.blocks.get(index)) {
            Some((table, entry)) => memory.put(index, table, self.bytes(entry)),
            None => memory.failed(index),
        }
        self.settled.notify_all();
    }

    fn load(&self, index: usize) -> Result<Arc<Table>, RowsError> {
        let Some(entry) = self.listing.blocks.get(index) else {
            return Err(GatherError::NoRow { row: u64::MAX, rows: self.listing.shape.rows }.into());
        };
        let shape = &self.listing.shape;
        if let Some(table) = self.cache.as_ref().and_then(|cache| cache.load(entry, shape)) {
            return Ok(Arc::new(table));
        }
        let mut reasons = Vec::new();
        for source in &self.sources {
            match source.read(index, entry) {
                Ok(Some(table)) => match self.check(entry, &table) {
                    Ok(()) => return Ok(Arc::new(table)),
                    Err(why) => {
                        warn!("{}, block {index}: {why}", source.name());
                        reasons.push(format!("{}: {why}", source.name()));
                    }
                },
                Ok(None) => {}
                Err(why) => {
                    info!("{}, block {index}: {why}", source.name());
                    reasons.push(why);
                }
            }
        }
        let first = self.starts.get(index).copied().unwrap_or_default();
        let why = if reasons.is_empty() { "nobody has them".into() } else { reasons.join("; ") };
        Err(RowsError::Block { index, first, rows: entry.rows, why })
    }

    /// Whether rows are those that the run began with; if so, they are kept.
    fn check(&self, entry: &Entry, table: &Table) -> Result<(), &'static str> {
        let same = Shape { rows: entry.rows, ..self.listing.shape.clone() } == table.shape();
        let bytes = table.part(0..table.rows()).unwrap_or_default();
        if !same || BlockDigest::of(&bytes) != entry.digest {
            return Err("its rows are not those that the run began with");
        }
        if let Some(cache) = &self.cache {
            cache.store(entry.digest, &bytes);
        }
        Ok(())
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: Vec<String> = self.inner.sources.iter().map(|source| source.name()).collect();
        let Inner { listing, cache, .. } = &*self.inner;
        f.debug_struct("Blocks")
            .field("shape", &listing.shape)
            .field("blocks", &listing.blocks.len())
            .field("cache", cache)
            .field("sources", &sources)
            .finish_non_exhaustive()
    }
}
