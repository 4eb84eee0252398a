//! Data larger than `in_memory`: read by block, from wherever the blocks are, to one digest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use lockstep_core::digest::Digest;
use lockstep_tests::cluster::{Oracle, Site};

/// Rows of the data: several blocks, the last one short.
const ROWS: usize = 21_000;

/// A run whose data are in blocks, with validation rows out of the same files.
fn run(epochs: u32) -> String {
    format!(
        r#"
name = "blocks"
seed = 5
data = {{ train = "rows.csv", validation = 0.1, target = "y", in_memory = 1000, shuffle_rows = 700 }}
model = {{ loss = "binary_cross_entropy", layers = [{{ linear = 9 }}, "relu", {{ linear = 1 }}] }}
train = {{ epochs = {epochs}, batch_size = 250, optimizer = {{ adamw = {{ lr = 3e-3 }} }} }}
cluster = {{ shards = 4, heartbeat_ms = 60_000 }}
checkpoint = {{ every_steps = 20 }}
"#
    )
}

/// One row's text; `salt` makes it another one.
fn row(i: usize, salt: usize) -> String {
    let number = |k: usize| ((i + salt) * (7919 + 31 * k) % 1009) as f64 / 64.0 - 7.0;
    let (a, b, c) = (number(0), number(1), number(2));
    format!("{a},{b},{},{}\n", ["red", "green", "blue"][i % 3], u8::from(a + b * 0.5 > c))
}

fn rows(changed: Option<usize>) -> String {
    let mut text = "a,b,colour,y\n".to_owned();
    for i in 0..ROWS {
        write!(text, "{}", row(i, usize::from(changed == Some(i)))).unwrap();
    }
    text
}

/// The rows, of which one has another class, in as many bytes.
fn other_class() -> String {
    let line = row(9_000, 0);
    let (rest, class) = line.trim_end().rsplit_once(',').unwrap();
    let changed = rows(None).replacen(&line, &format!("{rest},{}\n", if class == "0" { 1 } else { 0 }), 1);
    assert!(changed.len() == rows(None).len() && changed != rows(None));
    changed
}

fn site(epochs: u32) -> Site {
    let site = Site::new(&run(epochs));
    site.write("rows.csv", rows(None));
    site
}

/// Trains on a coordinator and workers that are changed before they start.
fn trained(
    site: &Site,
    workers: usize,
    change: impl Fn(usize, &mut std::process::Command),
    arguments: &[&str],
) -> Digest {
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let start = |number: usize| {
        let name = format!("w{number}");
        let mut command = site.worker_command(&name, address, arguments);
        change(number, &mut command);
        lockstep_tests::cluster::Process::start(command, &name, site.folder())
    };
    let mut all: Vec<_> = (0..workers).map(start).collect();
    site.succeed(&mut coordinator);
    all.iter_mut().for_each(|worker| site.succeed(worker));
    site.results().digest
}

fn no_cache(_: usize, command: &mut std::process::Command) {
    command.env("LOCKSTEP_CACHE_BYTES", "0");
}

#[test]
fn served_cached_and_alone_are_one_digest() {
    let first = site(2);
    let served = trained(&first, 2, no_cache, &[]);
    Oracle::new(&first).assert_equal(&first);
    for workers in [1, 3] {
        let cached = site(2);
        let (status, _train) = cached.trained(&["--workers", &workers.to_string()]);
        assert!(status.success(), "{}", cached.logs());
        assert_eq!(cached.results().digest, served, "{workers} workers");
        let blocks = fs::read_dir(cached.folder().join("cache/blocks")).unwrap().count();
        assert!(blocks > 0, "the cache was used");
    }
}

/// Every block of the cache is damaged after it was made: they are read from the file again.
#[test]
fn a_damaged_cache_changes_nothing() {
    let whole = site(1);
    let (status, _train) = whole.trained(&["--workers", "1"]);
    assert!(status.success(), "{}", whole.logs());
    let other = site(1);
    let (mut coordinator, address) = other.coordinator(None, &[]);
    let mut damaged = 0;
    for folder in fs::read_dir(other.folder().join("cache/blocks")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 5, "{damaged} blocks");
    let mut worker = other.worker("w", address, &[]);
    other.succeed(&mut coordinator);
    other.succeed(&mut worker);
    assert_eq!(other.results().digest, whole.results().digest);
    assert!(other.logs().contains("a damaged block is removed"), "{}", other.logs());
}

/// From a checkpoint in the middle of an epoch, on another number of workers.
#[test]
fn a_resume_in_the_middle_of_an_epoch() {
    let whole = site(2);
    let (status, _train) = whole.trained(&["--workers", "1"]);
    assert!(status.success(), "{}", whole.logs());
    let parted = site(2);
    let mut train = parted.train(&["--workers", "1"]);
    parted.until("a checkpoint in the middle of the second epoch", || {
        parted.run_dir().join("checkpoint-100").exists().then_some(())
    });
    train.kill();
    let (status, _train) = parted.trained(&["--workers", "3", "--resume"]);
    assert!(status.success(), "{}", parted.logs());
    assert_eq!(parted.results().digest, whole.results().digest);
}

/// One value of one row is another one: a resume and `verify` say where.
#[test]
fn changed_data_are_named() {
    let site = site(1);
    let (status, _train) = site.trained(&["--workers", "1"]);
    assert!(status.success(), "{}", site.logs());
    site.write("rows.csv", rows(Some(9_000)));
    let text = |arguments: &[&str]| {
        let output = site.command(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, resumed) = text(&["train", "run.toml", "--run-dir", "run", "--resume"]);
    assert_eq!(code, Some(78), "{resumed}");
    assert!(resumed.contains("rows.csv: rows 8192 to 12287 of it differ"), "{resumed}");
    let (code, verified) = text(&["verify", "run"]);
    assert_eq!(code, Some(1), "{verified}");
    assert!(verified.contains("rows 8192 to 12287 of it differ"), "{verified}");
}

/// The coordinator's file is gone after it was read, and nothing is cached: the run ends and says why.
#[test]
fn a_file_that_changes_while_it_is_read_ends_the_run() {
    let site = site(1);
    let coordinator = ["coordinator", "run.toml", "--run-dir", "run", "--listen", "127.0.0.1:0"];
    let mut command = site.command(&coordinator);
    command.env("LOCKSTEP_CACHE_BYTES", "0");
    let mut coordinator = lockstep_tests::cluster::Process::start(command, "coordinator", site.folder());
    let address: std::net::SocketAddr = site.until("the coordinator listens", || {
        coordinator.errors().split_once("listening on ")?.1.split_once(';')?.0.parse().ok()
    });
    replace_in_place(&site.folder().join("rows.csv"), &other_class());
    let mut command = site.worker_command("w", address, &[]);
    no_cache(0, &mut command);
    let _worker = lockstep_tests::cluster::Process::start(command, "w", site.folder());
    let status = site.end(&mut coordinator);
    assert_eq!(status.code(), Some(1), "{}", site.logs());
    let said = coordinator.errors();
    assert!(said.contains("not those that the run began with") && said.contains("--resume"), "{said}");
}

/// Into the same file, which is open.
fn replace_in_place(path: &Path, text: &str) {
    use std::io::Write as _;
    let mut file = fs::File::options().write(true).truncate(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A run with a folder `good` that has a copy of the data, and one `bad` whose copy differs in a row.
fn copied() -> Site {
    let site = site(1);
    for (folder, rows) in [("good", rows(None)), ("bad", other_class())] {
        fs::create_dir(site.folder().join(folder)).unwrap();
        site.write(&format!("{folder}/rows.csv"), rows);
    }
    site
}

/// Of three workers one reads its own copy, one has a copy that differs in a row, one is served.
#[test]
fn workers_that_read_for_themselves() {
    let served = site(1);
    let expected = trained(&served, 1, no_cache, &[]);
    let mixed = copied();
    let own = |number: usize, command: &mut std::process::Command| {
        no_cache(number, command);
        let root = ["good", "bad", "none"][number];
        if root != "none" {
            command.args(["--data", root]);
        }
    };
    assert_eq!(trained(&mixed, 3, own, &[]), expected);

    // Alone, it reads every block: one is not what the run began with, and is served instead.
    let bad = copied();
    assert_eq!(trained(&bad, 1, no_cache, &["--data", "bad"]), expected);
    assert!(bad.logs().contains("the files below --data, block"), "{}", bad.logs());

    // The coordinator's own file is another one by now, but nobody asks for it.
    let good = copied();
    let alone = |number: usize, command: &mut std::process::Command| {
        no_cache(number, command);
        replace_in_place(&good.folder().join("rows.csv"), &other_class());
    };
    assert_eq!(trained(&good, 1, alone, &["--data", "good"]), expected);
}
