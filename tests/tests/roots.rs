//! A coordinator cannot make a worker open anything but what lies below its `--data` roots, whatever its
//! catalog names.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use lockstep_core::tree::Node;
use lockstep_proto::message::{Assign, Down, ToWorker, Weights, Welcome};
use lockstep_proto::{Generation, Session, wire};
use lockstep_tests::cluster::fake::{Fake, Open, Scene};
use lockstep_tests::cluster::{Process, Site};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde_json::Value;

const RUN: &str = r#"
name = "roots"
seed = 5
data = { train = "root/rows.csv", target = "y", in_memory = 1000, shuffle_rows = 700 }
model = { loss = "mean_squared_error", layers = [{ linear = 1 }] }
train = { epochs = 1, batch_size = 250, optimizer = { sgd = { lr = 1e-3 } } }
cluster = { shards = 4 }
"#;

/// Tells who opened a path since it was asked last.
struct Watch(Inotify);

impl Watch {
    fn of(path: &Path) -> Self {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
        inotify.add_watch(path, AddWatchFlags::IN_OPEN).unwrap();
        Self(inotify)
    }

    fn opened(&self) -> bool {
        self.0.read_events().is_ok_and(|events| !events.is_empty())
    }
}

/// What an honest coordinator says of the site's data.
fn catalog(site: &Site) -> Value {
    let (mut coordinator, _) = site.coordinator(None, &[]);
    coordinator.kill();
    serde_json::from_slice(&fs::read(site.run_dir().join("data.json")).unwrap()).unwrap()
}

/// The same, with its file elsewhere.
fn with_path(catalog: &Value, path: &str) -> Value {
    let mut changed = catalog.clone();
    changed["train_files"][0]["path"] = path.into();
    changed
}

/// Greets with this catalog, and gives the worker the first step to do.
fn scene(name: &'static str, catalog: &Value) -> Scene {
    let welcome = Welcome {
        session: Session::new(1, 1),
        run: RUN.into(),
        train: catalog["train"]["shape"].to_string(),
        validation: None,
        kernel: "Haswell".into(),
        window: 16,
        blocks: true,
    };
    let nodes = vec![Node { level: 2, position: 0 }];
    let assign = ToWorker::Assign(Assign { generation: Generation::new(1, 1), step: 0, nodes });
    // Two weights and a bias.
    let payload = vec![0; 12].into();
    let weights = Down::Weights(Weights { step: 0, chunk: 0, exact: false, payload });
    let bytes = catalog.to_string().into_bytes();
    let part = wire::RowsPart { first: 0, count: bytes.len() as u64, payload: bytes.into(), unpacked: 0 };
    Scene {
        name,
        control: vec![ToWorker::Welcome(welcome).into(), assign.into()],
        tensors: vec![weights.into()],
        rows: vec![vec![part]],
        open: Open::UntilRead,
    }
}

/// Plays the scenes to a worker that may read below `root`; returns when it has seen them all.
fn play(site: &Site, name: &str, scenes: Vec<Scene>) -> Process {
    let names: Vec<&str> = scenes.iter().map(|scene| scene.name).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fake = Fake::new(scenes);
    let address = runtime.block_on(fake.serve());
    let mut command = site.worker_command(name, address, &["--data", "root"]);
    command.env("LOCKSTEP_CACHE_BYTES", "0");
    let mut worker = Process::start(command, name, site.folder());
    site.succeed(&mut worker);
    assert_eq!(fake.played(), names, "{}", worker.errors());
    worker
}

#[test]
fn no_catalog_opens_a_file_outside_of_the_roots() {
    let site = Site::new(RUN);
    let at = |name: &str| site.folder().join(name);
    for folder in ["root/sub", "other"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    let mut rows = "a,b,y\n".to_owned();
    for row in 0..3000 {
        writeln!(rows, "{},{},{}", row % 7, row % 11, row % 5).unwrap();
    }
    // As long, so that nothing but its place is against it.
    for name in ["root/rows.csv", "other/secret.csv"] {
        site.write(name, &rows);
    }
    std::os::unix::fs::symlink(at("other/secret.csv"), at("root/link.csv")).unwrap();
    std::os::unix::fs::symlink(at("other"), at("root/way")).unwrap();
    let catalog = catalog(&site);
    let (own, secret) = (Watch::of(&at("root/rows.csv")), Watch::of(&at("other/secret.csv")));

    // What is allowed is opened, so this test would notice.
    play(&site, "honest", vec![scene("honest", &catalog)]);
    assert!(own.opened() && !secret.opened());

    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    web.set_nonblocking(true).unwrap();
    let text = |name: &str| at(name).display().to_string();
    let paths: [(&str, String); 11] = [
        ("elsewhere", text("other/secret.csv")),
        ("dots", text("root/../other/secret.csv")),
        ("more dots", text("root/sub/../../other/secret.csv")),
        ("a link", text("root/link.csv")),
        ("a linked folder", text("root/way/secret.csv")),
        ("relative", "other/secret.csv".into()),
        ("relative dots", "root/../other/secret.csv".into()),
        ("a file's URL", format!("file://{}", text("other/secret.csv"))),
        ("the web", format!("http://{}/rows.csv", web.local_addr().unwrap())),
        ("a bucket", "s3://bucket/secret.csv".into()),
        ("nothing", String::new()),
    ];
    let scenes = paths.iter().map(|(name, path)| scene(name, &with_path(&catalog, path))).collect();
    let worker = play(&site, "hostile", scenes);
    assert!(!secret.opened(), "a file outside of the roots was opened: {}", worker.errors());
    assert!(web.accept().is_err(), "a server was asked that no root names");
    assert!(!worker.errors().contains("panicked"), "{}", worker.errors());
}
