//! The blocks of a dataset, each encoded once to know its digest.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::cache::BlockCache;
use super::catalog::{BlockDigest, Entry, Listing};
use crate::pass::Pass;
use crate::{Block, DataError, Encoder, GatherError, Shape, Table, TargetUse, Wrong};

/// Rows in a piece of data that are held whole.
const PIECE_ROWS: u64 = 1024;

/// Of a table: it does not tell which format it came from.
pub(crate) fn whole(table: &Table) -> Result<Listing, GatherError> {
    let rows = table.rows();
    let blocks = (0..rows).step_by(PIECE_ROWS as usize).map(|first| {
        let of = Block { first, rows: PIECE_ROWS.min(rows - first) };
        let part = table.part(first..first + of.rows)?;
        Ok(Entry { of, rows: of.rows, digest: BlockDigest::of(&part) })
    });
    Ok(Listing { shape: table.shape(), whole: true, blocks: blocks.collect::<Result<_, _>>()? })
}

/// Of the rows of a pass, block by block, on all cores. Keeps encoded blocks in the cache. Also gives the
/// number of bad rows.
pub(crate) fn list(
    pass: Pass<'_>,
    encoder: &Encoder,
    cache: Option<&BlockCache>,
) -> Result<(Listing, u64), DataError> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = Mutex::new(Vec::new());
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(block) = pass.blocks.get(index) else { return };
            let listed = one(pass, encoder, cache, *block);
            // Blocks before it have been begun and are finished, so the first error is always the same.
            failed.fetch_or(listed.is_err(), Ordering::Relaxed);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((index, listed));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(pass.blocks.len());
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    let (mut blocks, mut shape, mut skipped) = (Vec::with_capacity(done.len()), None::<Shape>, 0u64);
    let mut weighs = false;
    for (_, listed) in done {
        let (entry, of_block, bad, some_weigh) = listed?;
        weighs |= some_weigh;
        let shape = shape.get_or_insert(Shape { rows: 0, ..of_block });
        shape.rows += entry.rows;
        skipped += bad;
        blocks.push(entry);
    }
    match shape {
        Some(shape) if shape.rows > 0 && !weighs => Err(DataError::whole(pass.data.file(), Wrong::NoWeight)),
        Some(shape) if shape.rows > 0 => Ok((Listing { shape, whole: false, blocks }, skipped)),
        _ => Err(DataError::whole(pass.data.file(), Wrong::NoGoodRows { skipped })),
    }
}

/// The block's entry, its shape, how many of its rows were bad, and whether any of the others counts.
fn one(
    pass: Pass<'_>,
    encoder: &Encoder,
    cache: Option<&BlockCache>,
    block: Block,
) -> Result<(Entry, Shape, u64, bool), DataError> {
    let (table, skipped) = encoder.encode(Pass { blocks: &[block], ..pass }, TargetUse::Required)?;
    let bytes = table.part(0..table.rows()).unwrap_or_default();
    let digest = BlockDigest::of(&bytes);
    (pass.done)(block.rows);
    if let Some(cache) = cache {
        cache.store(digest, &bytes);
    }
    let weighs = table.weights().is_none_or(|weights| weights.iter().any(|weight| *weight != 0.0));
    Ok((Entry { of: block, rows: table.rows(), digest }, table.shape(), skipped, weighs))
}
