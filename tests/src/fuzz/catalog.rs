//! The catalog of a run's data, as a worker gets it from a coordinator and a coordinator finds it in the run
//! directory.

use std::sync::Arc;

use lockstep_core::run::spec::Run;
use lockstep_core::run::{parse, to_toml};
use lockstep_data::{Blocks, Catalog, Prepared, Roots, Rows, again, find_change};
use lockstep_worker::task::{Task, empty};
use serde_json::Value;

use super::mutate::Mutate;
use super::{Inputs, corpus, entries};

/// The run of the catalogs in the corpus; all rows are in blocks.
pub(super) const RUN: &str = r#"
data = { train = "part-*.csv", target = "label", validation = 0.3, in_memory = 0, shuffle_rows = 3 }
model = { loss = "cross_entropy", layers = [{ linear = 2 }] }
train = { epochs = 1, batch_size = 3 }
cluster = { shards = 2 }
"#;

/// The folder of the files, as the corpus has it.
pub(super) const PLACE: &str = "/place";

const WORDS: [&str; 15] = [
    "0",
    "1",
    "7",
    "18446744073709551615,",
    "18446744073709551614,",
    "99999999999,",
    "-1",
    "1e308,",
    "null,",
    "[",
    "]",
    "true,",
    "{\"number\": ",
    "{\"classes\": 2},",
    "{\"values\": 18446744073709551615},",
];

/// A mutated catalog: a worker computes with it, a coordinator goes on with it.
pub(super) fn case(mutate: &mut Mutate, inputs: &Inputs) {
    let catalogs: Vec<_> =
        inputs.corpus("catalog").iter().filter(|(name, _)| name.ends_with(".json")).collect();
    let (name, text) = mutate.one(&catalogs);
    let here = here(std::str::from_utf8(text).unwrap());
    let words: Vec<&str> = WORDS.iter().chain(&entries::WORDS).copied().collect();
    let json = if mutate.one_in(50) { here } else { mutate.text(&here, &words) };
    read(&json, &run_of(name));
}

/// Whether a catalog of the corpus is what it should be.
pub(super) fn is_usable(name: &str, text: &[u8]) -> bool {
    read(&here(std::str::from_utf8(text).unwrap()), &run_of(name))
}

/// A run on the files of a catalog of this name.
fn run_of(name: &str) -> Run {
    let train = if name.starts_with("groups") { "groups.parquet" } else { "part-*.csv" };
    parse(RUN, &[format!("data.train={train}")]).unwrap()
}

/// With the files where they are, and as old as they are.
fn here(text: &str) -> String {
    let folder = corpus::folder().join("catalog");
    let mut catalog: Value = serde_json::from_str(text).unwrap();
    for file in catalog["train_files"].as_array_mut().unwrap() {
        let path = file["path"].as_str().unwrap().replace(PLACE, folder.to_str().unwrap());
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
        (file["path"], file["modified"]) = (path.into(), (since.as_nanos() as u64).into());
    }
    serde_json::to_string_pretty(&catalog).unwrap()
}

/// Everything that is done with a catalog from elsewhere. Gives whether both sides could use it.
pub(super) fn read(json: &str, run: &Run) -> bool {
    let folder = corpus::folder().join("catalog");
    let Ok(catalog) = Catalog::from_json(json.as_bytes()) else { return false };
    let worker = computes(&catalog, run);
    let Ok(changed) = find_change(&catalog, &run.data, run.seed, &folder) else { return false };
    match again(catalog, &run.data, run.seed, &folder) {
        Ok(Some(Prepared { train, validation, catalog })) => {
            let rows = [Some(train), validation].into_iter().flatten();
            let served = rows.map(|rows| serves(&rows)).fold(true, |all, one| all & one);
            assert!(catalog.train.changed(&catalog.train).is_none());
            worker && served && changed.is_none()
        }
        Ok(None) | Err(_) => false,
    }
}

/// A worker that may read the files.
fn computes(catalog: &Catalog, run: &Run) -> bool {
    let roots = Roots::new(&[corpus::folder().join("catalog").display().to_string()]).unwrap();
    let [train, validation] = catalog.below(&roots, &run.data, run.seed);
    let blocks = |listing: &lockstep_data::Listing, source: Option<_>| {
        Rows::Blocks(Arc::new(Blocks::new(listing.clone(), 1 << 10, None, source.into_iter().collect())))
    };
    let train = blocks(&catalog.train, train);
    let validation = catalog.validation.as_ref().map(|listing| blocks(listing, validation));
    let Ok(task) = Task::new(&to_toml(run), train, validation) else { return false };
    let (mut order, mut microbatch) = (task.order(), empty());
    let steps = order.plan().steps_per_epoch();
    let last = steps.saturating_sub(1);
    let mut all = true;
    for step in [0, 1, steps / 2, last] {
        for shard in 0..run.cluster.shards {
            task.keep(&mut order, step, &[shard]);
            all &= task.load_step(&mut order, step, shard, &mut microbatch).is_ok();
        }
    }
    all & task.load_piece(0, &mut microbatch).is_ok() & task.load_piece(u32::MAX, &mut microbatch).is_ok()
}

/// The rows at both ends and in the middle, as a coordinator cuts them for travel.
fn serves(rows: &Rows) -> bool {
    let count = rows.rows();
    let part = |row: u64| {
        let block = rows.around(row);
        assert!(row >= count || block.contains(&row));
        rows.part(row..block.end.min(row.saturating_add(2))).is_ok()
    };
    [0, count / 2, count.saturating_sub(1)].map(part).iter().all(|read| *read)
}
