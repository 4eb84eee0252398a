//! Nothing that a coordinator sends brings a worker down: it says what is wrong and tries again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::io::{Read, Write};
use std::net::TcpListener;

use bytes::Bytes;
use lockstep_core::layout::Layout;
use lockstep_core::tree::Node;
use lockstep_data::{Features, Table, Targets};
use lockstep_proto::message::{Assign, Down, Evaluate, ToWorker, Weights, Welcome};
use lockstep_proto::{Generation, Session, wire};
use lockstep_tests::cluster::fake::{Fake, Scene};
use lockstep_tests::cluster::{RunFile, Site};

const ROWS: u32 = 40;

fn table(width: usize, classes: u32) -> Table {
    let values = (0..ROWS as usize * width).map(|i| (i % 7) as f32).collect();
    let targets = Targets::Classes { count: classes, of: (0..ROWS).map(|row| row % classes).collect() };
    Table::new(vec![width], Features::F32(values), targets).unwrap()
}

fn parts(table: &Table) -> Vec<wire::RowsPart> {
    vec![part(table.part(0..table.rows()).unwrap())]
}

fn part(payload: impl Into<Bytes>) -> wire::RowsPart {
    wire::RowsPart { first: 0, count: ROWS.into(), payload: payload.into(), unpacked: 0 }
}

fn shape(table: &Table) -> String {
    serde_json::to_string(&table.shape()).unwrap()
}

fn welcome() -> Welcome {
    Welcome {
        session: Session::new(1, 1),
        run: RunFile::default().text(),
        train: shape(&table(64, 10)),
        validation: Some(shape(&table(64, 10))),
        kernel: "Haswell".into(),
        window: 16,
        blocks: false,
    }
}

/// Greets; then says these.
fn scene(name: &'static str, welcome: Welcome, then: Vec<ToWorker>, tensors: Vec<Down>) -> Scene {
    let control = std::iter::once(ToWorker::Welcome(welcome)).chain(then);
    let rows = parts(&table(64, 10));
    Scene {
        name,
        control: control.map(Into::into).collect(),
        tensors: tensors.into_iter().map(Into::into).collect(),
        rows: vec![rows.clone(), rows],
        ..Scene::default()
    }
}

/// Welcomes that cannot be followed.
fn bad_welcomes() -> Vec<Scene> {
    let with = |name, change: &dyn Fn(&mut Welcome)| {
        let mut changed = welcome();
        change(&mut changed);
        scene(name, changed, vec![evaluate(0, &[0])], vec![weights(0, 0.01)])
    };
    let good = || with("", &|_| {});
    let lying = |text: String, key: &str, value: &str| text.replace(key, value);
    vec![
        with("no run file", &|w| w.run = "\u{0}garbage = ".into()),
        with("an unknown key", &|w| w.run = w.run.replace("batch_size", "batch_sizes")),
        with("no shape", &|w| w.train = "{".into()),
        with("a shape of nothing", &|w| w.train = lying(w.train.clone(), "[64]", "[0]")),
        with("a vast shape", &|w| w.train = lying(w.train.clone(), "[64]", "[18446744073709551615,2]")),
        with("vast rows", &|w| {
            w.train = lying(w.train.clone(), "\"rows\":40", "\"rows\":18446744073709551615")
        }),
        with("an image", &|w| w.train = lying(w.train.clone(), "[64]", "[8,8]")),
        with("a deep layer", &|w| w.run = w.run.replace("linear = 33", "linear = 9223372036854775807")),
        with("other classes", &|w| w.train = lying(w.train.clone(), "10", "11")),
        Scene { rows: vec![], name: "no rows", ..good() },
        Scene { rows: vec![vec![part(vec![0xff; 999])]], name: "garbage rows", ..good() },
        Scene {
            rows: vec![[parts(&table(64, 10)), parts(&table(64, 10))].concat()],
            name: "rows twice",
            ..good()
        },
        Scene {
            rows: vec![parts(&table(64, 10)), parts(&table(63, 10))],
            ..with("narrow validation", &|w| w.validation = Some(shape(&table(63, 10))))
        },
        Scene {
            rows: vec![parts(&table(64, 10)), parts(&table(64, 40))],
            ..with("validation of other classes", &|w| w.validation = Some(shape(&table(64, 40))))
        },
        Scene {
            control: vec![wire::ToWorker { message: None }],
            name: "an empty message",
            ..Scene::default()
        },
        Scene { control: vec![ToWorker::Accepted.into()], name: "accepted first", ..Scene::default() },
        Scene { name: "nothing", ..Scene::default() },
        Scene {
            control: vec![wire::ToWorker {
                message: Some(wire::to_worker::Message::End(wire::End { outcome: 99, text: "?".into() })),
            }],
            name: "an end of no kind",
            ..Scene::default()
        },
    ]
}

/// W(step), whole and well-formed.
fn weights(step: u64, value: f32) -> Down {
    let mut layout = Layout::default();
    for (layer, shape) in [[33, 64], [33, 1], [10, 33], [10, 1]].iter().enumerate() {
        layout.push(layer, layer.to_string(), shape);
    }
    let payload = std::iter::repeat_n(value.to_le_bytes(), layout.len()).flatten().collect();
    Down::Weights(Weights { step, chunk: 0, exact: false, payload })
}

fn assign(step: u64, nodes: &[(u8, u32)]) -> ToWorker {
    let nodes = nodes.iter().map(|(level, position)| Node { level: *level, position: *position }).collect();
    ToWorker::Assign(Assign { generation: Generation::new(1, 1), step, nodes })
}

fn evaluate(step: u64, pieces: &[u32]) -> ToWorker {
    ToWorker::Evaluate(Evaluate { generation: Generation::new(1, 1), step, pieces: pieces.to_vec() })
}

/// Members that are asked for what cannot be.
fn bad_work() -> Vec<Scene> {
    let work = |name, then: Vec<ToWorker>, tensors: Vec<Down>| scene(name, welcome(), then, tensors);
    let short =
        Down::Weights(Weights { step: 0, chunk: 0, exact: false, payload: Bytes::from_static(&[0; 6]) });
    let outside = Down::Weights(Weights { step: 0, chunk: 9, exact: true, payload: Bytes::new() });
    let nothing = wire::TensorsDown { message: None };
    vec![
        work("honest work", vec![assign(0, &[(3, 0)]), evaluate(0, &[0])], vec![weights(0, 0.01)]),
        work("short weights", vec![], vec![short]),
        work("a chunk that is none", vec![], vec![outside]),
        work("weights that are not finite", vec![assign(0, &[(3, 0)])], vec![weights(0, f32::NAN)]),
        work("a node past the tree", vec![assign(0, &[(31, 0)])], vec![weights(0, 0.01)]),
        work("a shard past the last", vec![assign(0, &[(0, 4_000_000)])], vec![weights(0, 0.01)]),
        work("a node twice", vec![assign(0, &[(0, 1), (0, 1), (0, 1)])], vec![weights(0, 0.01)]),
        work("nodes that overlap", vec![assign(0, &[(1, 0), (0, 1), (3, 0)])], vec![weights(0, 0.01)]),
        work("no nodes", vec![assign(0, &[])], vec![weights(0, 0.01)]),
        work("the last step of all", vec![assign(u64::MAX, &[(3, 0)])], vec![weights(u64::MAX, 0.01)]),
        work("pieces past the last", vec![evaluate(0, &[u32::MAX, 0, 0, 7])], vec![weights(0, 0.01)]),
        work(
            "vast grants",
            vec![assign(0, &[(3, 0)])],
            vec![Down::Grant { step: u64::MAX, chunks: u32::MAX }],
        ),
        work("two welcomes", vec![ToWorker::Welcome(welcome())], vec![]),
        Scene { tensors: vec![nothing], ..work("an empty tensor message", vec![], vec![]) },
        Scene {
            tensors: vec![wire::TensorsDown {
                message: Some(wire::tensors_down::Message::Weights(wire::Weights {
                    payload: vec![0; 2 << 20].into(),
                    ..Default::default()
                })),
            }],
            ..work("a message past the limit", vec![], vec![])
        },
        Scene {
            control: [scene("", welcome(), vec![], vec![]).control, vec![bad_node()]].concat(),
            ..work("a node that cannot be", vec![], vec![])
        },
    ]
}

fn bad_node() -> wire::ToWorker {
    let nodes = vec![wire::Node { level: u32::MAX, position: u32::MAX }];
    let assign = wire::Assign { generation: 1, step: 0, nodes };
    wire::ToWorker { message: Some(wire::to_worker::Message::Assign(assign)) }
}

#[test]
fn a_worker_outlives_every_lie() {
    // Alternating, since a worker that has joined tries again at once, and one that has not waits longer
    // each time.
    let mut scenes = Vec::new();
    let (mut first, mut second) = (bad_welcomes().into_iter(), bad_work().into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair.iter().all(Option::is_none) {
            break;
        }
        scenes.extend(pair.into_iter().flatten());
    }
    let names: Vec<&str> = scenes.iter().map(|scene| scene.name).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fake = Fake::new(scenes);
    let address = runtime.block_on(fake.serve());
    let site = Site::new("");
    for threads in ["1", "2"] {
        let fake = fake.clone();
        // Only the first is played to; the second is told at once that all is over.
        let mut worker = site.worker(threads, address, &["--threads", threads]);
        let status = site.until(
            &format!("the worker has seen it all, {:?} is the last", fake.played().last()),
            || {
                assert!(
                    !worker.errors().contains("panicked"),
                    "{:?}: {}",
                    fake.played().last(),
                    worker.errors()
                );
                worker.ended()
            },
        );
        assert!(status.success(), "{status} after {:?}: {}", fake.played().last(), worker.errors());
    }
    assert_eq!(fake.played(), names);
}

/// Whoever answers there is no coordinator: the worker gives up in time, and says why.
#[test]
fn a_worker_meets_no_coordinator() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { continue };
            let answers: [&[u8]; 4] =
                [b"", &[0xff; 100_000], b"HTTP/1.1 400 Bad Request\r\n\r\n", &[0, 0, 9, 4]];
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(answers[number % answers.len()]);
        }
    });
    let site = Site::new("");
    let mut worker = site.worker("a", address, &["--wait", "1"]);
    assert_eq!(site.end(&mut worker).code(), Some(75), "{}", worker.errors());
    let errors = worker.errors();
    assert!(!errors.contains("panicked") && errors.contains("no coordinator at"), "{errors}");
}
