//! How much a worker reads of data in blocks: its own shards' blocks, each once an epoch.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lockstep_core::run::parse;
use lockstep_core::run::spec::Run;
use lockstep_data::{Block, BlockDigest, Blocks, Entry, Features, Listing, Rows, Source, Table, Targets};
use lockstep_worker::task::{Task, empty};

/// Blocks of so many rows, 12 for each of 8 shards and a short one.
const BLOCK_ROWS: u64 = 512;
const BLOCKS: u64 = 97;
const SHARDS: u32 = 8;
/// Of 32 blocks: two windows of four shards, and far from all that these read in an epoch.
const MEMORY: u64 = 32 * BLOCK_ROWS * 8;
const RUN: &str = r#"
name = "reading"
seed = 11
data = { train = "nowhere.csv", target = "y", in_memory = 0, shuffle_rows = 1500 }
model = { loss = "cross_entropy", layers = [{ linear = 2 }] }
train = { epochs = 3, batch_size = 256 }
"#;

/// Makes each block out of its number, and counts.
struct Counted(Arc<AtomicU64>);

fn block(index: usize, rows: u64) -> Table {
    let x = (0..rows).map(|row| (index as u64 * BLOCK_ROWS + row) as f32).collect();
    let classes = (0..rows).map(|row| (row % 2) as u32).collect();
    Table::new(vec![1], Features::F32(x), Targets::Classes { count: 2, of: classes }).unwrap()
}

impl Source for Counted {
    fn name(&self) -> String {
        "a test".into()
    }

    fn read(&self, index: usize, entry: &Entry) -> Result<Option<Table>, String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Some(block(index, entry.rows)))
    }
}

fn task() -> (Task, Run, Arc<AtomicU64>) {
    let run = parse(RUN, &[]).unwrap();
    let entries = (0..BLOCKS).map(|index| {
        let rows = if index + 1 == BLOCKS { BLOCK_ROWS / 2 } else { BLOCK_ROWS };
        let of = Block { first: index * BLOCK_ROWS, rows };
        Entry { of, rows, digest: BlockDigest::of_table(&block(index as usize, rows)) }
    });
    let blocks: Vec<Entry> = entries.collect();
    let rows = blocks.iter().map(|entry| entry.rows).sum();
    let mut shape = block(0, 1).shape();
    shape.rows = rows;
    let read = Arc::new(AtomicU64::new(0));
    let listing = Listing { shape, whole: false, blocks };
    let rows = Blocks::new(listing, MEMORY, None, vec![Box::new(Counted(read.clone()))]);
    let task = Task::new(&lockstep_core::run::to_toml(&run), Rows::Blocks(Arc::new(rows)), None).unwrap();
    (task, run, read)
}

/// Each of two workers reads its shards' blocks once an epoch, and at each border between shards one more.
#[test]
fn a_worker_reads_its_own_blocks_once_an_epoch() {
    for shards in [0..4, 4..SHARDS] {
        let (task, run, read) = task();
        let mut order = task.order();
        let steps = order.plan().steps_per_epoch();
        let own: u64 = shards.clone().map(|shard| order.plan().span_len(shard)).sum();
        for epoch in 0..run.train.epochs {
            let before = read.load(Ordering::Relaxed);
            for step in epoch * steps..(epoch + 1) * steps {
                let mut batch = empty();
                task.keep(&mut order, step, &shards.clone().collect::<Vec<_>>());
                for shard in shards.clone() {
                    task.load_step(&mut order, step, shard, &mut batch).unwrap();
                }
            }
            let blocks = (read.load(Ordering::Relaxed) - before) * BLOCK_ROWS;
            assert!(blocks as f64 <= 1.1 * own as f64, "{blocks} rows read of {own} in epoch {epoch}");
        }
    }
}

/// Any step is found without those before it: the first batch needs one window, wherever it is.
#[test]
fn a_resume_reads_one_window() {
    let first = |share: f64| {
        let (task, _, read) = task();
        let mut order = task.order();
        let step = (order.plan().steps_per_epoch() as f64 * share) as u64;
        task.load_step(&mut order, step, 3, &mut empty()).unwrap();
        read.load(Ordering::Relaxed)
    };
    let window = 1500_u64.div_ceil(BLOCK_ROWS) + 1;
    assert!((1..=window).contains(&first(0.0)));
    assert!(first(0.99) <= first(0.0) + window, "{} blocks, then {}", first(0.0), first(0.99));
}
