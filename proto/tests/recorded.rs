//! What the present protocol version looks like in bytes. `recorded.txt` holds a line a message, its name and
//! its bytes; a change of a field's number or type differs from it, and so would differ from every worker and
//! coordinator that is deployed.
//!
//! After a change that is meant (with `PROTOCOL` raised, docs/protocol.md says when), record anew:
//! `LOCKSTEP_RECORD=1 cargo test -p lockstep-proto --test recorded`.

use std::fmt::Debug;
use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use lockstep_core::gradient::Summary;
use lockstep_core::metrics::Sums;
use lockstep_core::tree::Node;
use lockstep_proto::message::*;
use lockstep_proto::wire::cluster_server;
use lockstep_proto::{Generation, PROTOCOL, Session, wire};
use prost::Message;

/// A message under its name.
struct Sample {
    name: String,
    bytes: Vec<u8>,
    /// Reads bytes; whether they are this message.
    reads: Reads,
}

type Reads = Box<dyn Fn(&[u8]) -> bool>;

fn sample<M, W>(name: impl Into<String>, message: M) -> Sample
where
    M: Clone + Debug + PartialEq + TryFrom<W> + 'static,
    W: Message + Default + From<M>,
{
    let bytes = W::from(message.clone()).encode_to_vec();
    let reads = move |bytes: &[u8]| {
        W::decode(bytes).ok().and_then(|read| M::try_from(read).ok()).as_ref() == Some(&message)
    };
    Sample { name: name.into(), bytes, reads: Box::new(reads) }
}

const STEP: u64 = 300;
const NODE: Node = Node { level: 2, position: 3 };

fn generation() -> Generation {
    Generation::new(2, 5)
}

/// Another value in every field, and a message for each case.
fn samples() -> Vec<Sample> {
    let session = Session::new(2, 7);
    let sums = Sums {
        rows: 1,
        weight: 2.5,
        loss: 3.5,
        correct: 4,
        absolute_error: 5.5,
        squared_error: 6.5,
        target: 7.5,
        target_squared: 8.5,
    };
    let of = Explain { step: STEP, node: NODE };
    let found = Found { shard: 9, row: Some(1000), place: "the output of layers.2".into() };
    let from_worker = [
        (
            "hello",
            FromWorker::Hello(Hello {
                protocol: 3,
                name: "w".into(),
                host: "h".into(),
                pid: 77,
                numerics: "x86-64/Haswell/1".into(),
                cpu: "a processor".into(),
            }),
        ),
        ("ready", FromWorker::Ready(Ready { fingerprint: [5; 32], threads: 4 })),
        ("heartbeat", FromWorker::Heartbeat),
        ("evaluated", FromWorker::Evaluated(Evaluated { step: STEP, pieces: vec![(6, sums)] })),
        (
            "computed",
            FromWorker::Computed(Computed { generation: generation(), step: STEP, shards: 4, micros: 5000 }),
        ),
        ("leave", FromWorker::Leave),
        ("explained", FromWorker::Explained(Explained { of, found: Some(found) })),
        ("explained-nothing", FromWorker::Explained(Explained { of, found: None })),
    ];
    let welcome = Welcome {
        session,
        run: "seed = 1".into(),
        train: "{1}".into(),
        validation: Some("{2}".into()),
        kernel: "Haswell".into(),
        window: 16,
        blocks: true,
    };
    let mut to_worker = vec![
        ("welcome".to_owned(), ToWorker::Welcome(welcome)),
        ("accepted".into(), ToWorker::Accepted),
        (
            "assign".into(),
            ToWorker::Assign(Assign {
                generation: generation(),
                step: STEP,
                nodes: vec![NODE, Node::leaf(1)],
            }),
        ),
        (
            "evaluate".into(),
            ToWorker::Evaluate(Evaluate { generation: generation(), step: STEP, pieces: vec![0, 300] }),
        ),
        ("explain".into(), ToWorker::Explain(of)),
        ("leave".into(), ToWorker::Leave),
    ];
    use Reason as R;
    for reason in
        [R::Protocol, R::Numerics, R::Replaced, R::Late, R::Malformed, R::Ending, R::Hung, R::Corrupt]
    {
        let refused = ToWorker::Refused(Refused { reason, text: "why".into() });
        to_worker.push((format!("refused-{reason:?}").to_lowercase(), refused));
    }
    for outcome in [Outcome::Finished, Outcome::Stopped, Outcome::Failed] {
        let end = ToWorker::End(End { outcome, text: "how".into() });
        to_worker.push((format!("end-{outcome:?}").to_lowercase(), end));
    }
    let payload = Bytes::from_static(&[1, 2, 3, 4]);
    let summary = Summary { loss: 1.5, weight: 2.5, rows: 3 };
    let gradient = Gradient {
        generation: generation(),
        step: STEP,
        node: NODE,
        chunk: 11,
        summary,
        payload: payload.clone(),
    };
    let up =
        [("open", Up::Open(session)), ("gradient", Up::Gradient(gradient)), ("release", Up::Release(STEP))];
    let down = [
        ("weights", Down::Weights(Weights { step: STEP, chunk: 12, exact: true, payload })),
        ("grant", Down::Grant { step: STEP, chunks: 13 }),
    ];
    let mut all = Vec::new();
    all.extend(
        from_worker
            .map(|(name, message)| sample::<_, wire::FromWorker>(format!("from-worker/{name}"), message)),
    );
    all.extend(
        to_worker
            .into_iter()
            .map(|(name, message)| sample::<_, wire::ToWorker>(format!("to-worker/{name}"), message)),
    );
    all.extend(up.map(|(name, message)| sample::<_, wire::TensorsUp>(format!("tensors-up/{name}"), message)));
    all.extend(
        down.map(|(name, message)| sample::<_, wire::TensorsDown>(format!("tensors-down/{name}"), message)),
    );
    for dataset in [Dataset::Train, Dataset::Validation, Dataset::Catalog] {
        let request = RowsRequest { session, dataset, first: 14, count: 15 };
        all.push(sample::<_, wire::RowsRequest>(format!("rows/request-{dataset:?}").to_lowercase(), request));
    }
    let part = wire::RowsPart { first: 14, count: 15, payload: Bytes::from_static(&[9]), unpacked: 16 };
    all.push(sample::<_, wire::RowsPart>("rows/part", part));
    let request = wire::ProbeRequest { payload: Bytes::from_static(&[9]), answer: 17 };
    all.push(sample::<_, wire::ProbeRequest>("probe/request", request));
    let answer = wire::ProbeAnswer { payload: Bytes::from_static(&[9]), protocol: 3, unix_micros: 18 };
    all.push(sample::<_, wire::ProbeAnswer>("probe/answer", answer));
    all.push(sample::<_, wire::StopRequest>("stop/request", wire::StopRequest { worker: "w".into() }));
    let answer = wire::StopAnswer { run: "digits".into(), step: STEP, staying: 19 };
    all.push(sample::<_, wire::StopAnswer>("stop/answer", answer));
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[test]
fn messages_are_those_that_were_recorded() {
    let samples = samples();
    let header = format!("protocol {PROTOCOL}\n");
    let now = samples
        .iter()
        .fold(header, |text, sample| text + &format!("{} {}\n", sample.name, hex(&sample.bytes)));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded.txt");
    if std::env::var_os("LOCKSTEP_RECORD").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap();
    for (now, recorded) in now.lines().zip(recorded.lines()) {
        assert_eq!(now, recorded, "the wire has changed: docs/protocol.md says what that needs");
    }
    assert_eq!(now.lines().count(), recorded.lines().count(), "messages were added or left out");
}

#[test]
fn what_was_recorded_is_read_and_fields_of_later_versions_are_ignored() {
    for Sample { name, bytes, reads } in samples() {
        assert!(reads(&bytes), "{name}");
        // Field 1000: a number, and one of five bytes; field 1001: eight bytes, and four.
        let later = [
            &[0xc0, 0x3e, 7][..],
            &[0xc2, 0x3e, 5, b'l', b'a', b't', b'e', b'r'],
            &[0xc9, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0xcd, 0x3e, 1, 2, 3, 4],
        ];
        for field in later {
            assert!(reads(&[&bytes, field].concat()), "{name}");
        }
    }
}

#[test]
fn calls_keep_their_names() {
    assert_eq!(cluster_server::SERVICE_NAME, "lockstep.v1.Cluster");
    assert_eq!(lockstep_proto::tensors::PATH, "/lockstep.v1.Cluster/Tensors");
}
