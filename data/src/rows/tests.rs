//! Blocks against the same rows held whole.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lockstep_core::run::spec::{Data, Loss, Validation};

use super::catalog::BlockDigest;
use super::{BlockCache, Blocks, Catalog, Entry, Rows, Source};
use crate::tests::{Folder, table};
use crate::{Block, Features, Goal, Prepared, Table, TargetsMut, load};

/// Rows of five blocks, the last one short.
const ROWS: u64 = 18_000;

fn folder() -> Folder {
    let row = |i: u64| format!("{},{},{}\n", i % 101, i * 37 % 1009, i % 3);
    let text: String = std::iter::once("a,b,y\n".to_owned()).chain((0..ROWS).map(row)).collect();
    Folder::new().with("rows.csv", text)
}

fn data(in_memory: u64) -> Data {
    Data { in_memory, validation: Validation::Fraction(0.2), ..table("rows.csv", "y") }
}

fn loaded(folder: &Path, in_memory: u64) -> Prepared {
    load(&data(in_memory), Goal { loss: Loss::CrossEntropy, class_weights: None }, 7, folder).unwrap()
}

fn gathered(rows: &Rows, which: &[u64]) -> (Vec<f32>, Vec<u32>) {
    let (mut x, mut classes) = (vec![0.0; which.len() * 2], vec![0; which.len()]);
    rows.gather(which, &mut x, TargetsMut::Classes(&mut classes)).unwrap();
    (x, classes)
}

#[test]
fn blocks_have_the_rows_of_the_whole() {
    let folder = folder();
    let (whole, blocks) = (loaded(folder.path(), u64::MAX), loaded(folder.path(), 0));
    assert!(matches!((&whole.train, &blocks.train), (Rows::Whole(_), Rows::Blocks(_))));
    assert_eq!(whole.catalog.encoder, blocks.catalog.encoder);
    for (whole, blocks) in
        [(&whole.train, &blocks.train), (&whole.validation.unwrap(), &blocks.validation.unwrap())]
    {
        assert_eq!(whole.shape(), blocks.shape());
        let scattered: Vec<u64> = (0..whole.rows()).map(|i| i * 7919 % whole.rows()).collect();
        assert_eq!(gathered(blocks, &scattered), gathered(whole, &scattered));
        let outside = blocks.gather(&[whole.rows()], &mut [0.0; 2], TargetsMut::Ignored);
        assert!(outside.is_err());
    }
}

#[test]
fn a_catalog_is_read_as_it_was_written() {
    let folder = folder();
    let catalog = loaded(folder.path(), 0).catalog;
    let json = serde_json::to_string(&catalog).unwrap();
    let read = |json: &str| Catalog::from_json(json.as_bytes()).map_err(|bad| bad.to_string());
    let again = read(&json).unwrap();
    assert_eq!(again, catalog);
    assert!(again.train.changed(&catalog.train).is_none());
    let lying = |change: &dyn Fn(&mut Catalog)| {
        let mut lying = catalog.clone();
        change(&mut lying);
        read(&serde_json::to_string(&lying).unwrap()).unwrap_err()
    };
    assert!(lying(&|it| it.train.shape.rows += 1).contains("contradicts itself"));
    assert!(lying(&|it| it.train.blocks[1].rows = u64::MAX).contains("contradicts itself"));
    assert!(lying(&|it| it.encoder.inputs = crate::Inputs::Columns(Vec::new())).contains("no inputs"));
    let digest = catalog.train.blocks[0].digest.to_string();
    assert!(read(&json.replace(&digest, &digest[1..])).unwrap_err().contains("not a catalog"));
}

/// Counts how often it is asked, and may give other rows than were listed.
struct Counting {
    table: Arc<Table>,
    asked: Arc<AtomicUsize>,
    lies: bool,
}

impl Source for Counting {
    fn name(&self) -> String {
        "a test".into()
    }

    fn read(&self, index: usize, _: &Entry) -> Result<Option<Table>, String> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let Features::F32(x) = self.table.features() else { panic!() };
        let first = if self.lies { 0 } else { index * 100 };
        let x = x.get(first..first + 100).unwrap().to_vec();
        Ok(Table::new(vec![1], Features::F32(x), crate::Targets::Absent))
    }
}

/// Ten blocks of 100 rows of one number.
fn counted(cache: Option<Arc<BlockCache>>, lies: bool) -> (Arc<Blocks>, Arc<AtomicUsize>) {
    let x: Vec<f32> = (0..1000).map(|i| i as f32).collect();
    let all = Arc::new(Table::new(vec![1], Features::F32(x), crate::Targets::Absent).unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let honest = Counting { table: all.clone(), asked: Arc::default(), lies: false };
    let blocks = (0..10).map(|index| {
        let of = Block { first: index * 100, rows: 100 };
        let entry = Entry { of, rows: 100, digest: BlockDigest::of(b"") };
        let block = honest.read(index as usize, &entry).unwrap().unwrap();
        Entry { digest: BlockDigest::of_table(&block), ..entry }
    });
    let listing = super::Listing { shape: all.shape(), whole: false, blocks: blocks.collect() };
    let source = Counting { table: all, asked: asked.clone(), lies };
    (Arc::new(Blocks::new(listing, 1 << 20, cache, vec![Box::new(source)])), asked)
}

fn read(blocks: &Blocks, row: u64) -> Result<f32, String> {
    let mut x = [0.0];
    let read = blocks.gather(&[row], &mut x, TargetsMut::Ignored);
    read.map(|()| x[0]).map_err(|error| error.to_string())
}

#[test]
fn a_block_is_read_once_while_it_is_held() {
    let (blocks, asked) = counted(None, false);
    for row in [5, 999, 7, 950, 5] {
        assert_eq!(read(&blocks, row), Ok(row as f32));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    blocks.ahead(3);
    blocks.ahead(3);
    blocks.ahead(99);
    assert_eq!(read(&blocks, 333), Ok(333.0));
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[test]
fn the_cache_outlives_the_source_and_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let cache = || {
        let cache = BlockCache::new(folder.path().to_owned(), 1 << 20);
        cache.make_room(1 << 10);
        Some(Arc::new(cache))
    };
    assert_eq!(read(&counted(cache(), false).0, 250), Ok(250.0));
    // The liar is not asked for what is in the cache.
    let (blocks, asked) = counted(cache(), true);
    assert_eq!((read(&blocks, 251), asked.load(Ordering::Relaxed)), (Ok(251.0), 0));
    let error = read(&blocks, 350).unwrap_err();
    assert!(error.starts_with("rows 300 to 399 (block 3): a test: its rows are not those"), "{error}");
    // Nor is a damaged file believed.
    let files = || walk(folder.path());
    assert_eq!(files().len(), 1);
    std::fs::write(&files()[0], b"damaged").unwrap();
    assert!(read(&counted(cache(), true).0, 250).is_err());
    assert!(files().is_empty());
}

#[test]
fn the_cache_stays_within_its_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let (block, least) = (416, 3 * 416 + 100);
    let open = |most| Some(Arc::new(BlockCache::new(folder.path().to_owned(), most)));
    let held = || walk(folder.path()).iter().map(|path| path.metadata().unwrap().len()).sum::<u64>();
    let fill = |cache: Option<Arc<BlockCache>>| {
        let (blocks, _) = counted(cache, false);
        for index in 0..10 {
            read(&blocks, index * 100).unwrap();
        }
    };
    fill(open(least));
    assert_eq!(held(), 0, "nothing is written where no room was made");
    let cache = open(least);
    cache.iter().for_each(|cache| cache.make_room(u64::MAX));
    fill(cache);
    assert_eq!(held(), 3 * block);
    open(least).unwrap().make_room(block);
    assert_eq!(held(), 2 * block, "the oldest went");
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    folders.flat_map(|path| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path())).collect()
}
