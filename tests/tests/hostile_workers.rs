//! Nothing that a peer sends moves the coordinator, or a bit of its run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use lockstep_core::gradient::Summary;
use lockstep_core::numerics;
use lockstep_core::tree::Node;
use lockstep_proto::message::{
    Dataset, FromWorker, Gradient, Hello, Ready, RowsRequest, ToWorker, Up, Welcome,
};
use lockstep_proto::settings::MESSAGE_LIMIT;
use lockstep_proto::wire::cluster_client::ClusterClient;
use lockstep_proto::{Generation, PROTOCOL, Session, wire};
use lockstep_tests::cluster::{Oracle, Raw, RunFile, Site};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

type Client = ClusterClient<Channel>;

#[test]
fn hostile_peers_change_nothing() {
    // Without evaluations: all work is steps.
    let text = RunFile { epochs: 1000, heartbeat_ms: 300, ..RunFile::default() }.text();
    let site = Site::new(&text.replace("[train]", "[train]\nevaluate_every = 1_000_000"));
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut steady = site.worker("steady", address, &[]);
    site.until_logged("worker steady on", 1);

    plain_tcp(address);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut client = ClusterClient::new(channel.clone());
        garbage(&channel).await;
        wrong_first_messages(&mut client).await;
        unknown_sessions(&mut client).await;
        a_session_that_is_not_ready(&mut client).await;
        wrong_numerics(&mut client).await;
        a_member_that_lies(&mut client).await;
        // The steady worker's session is the first of the first start: its stream is its own.
        let taken = tensors(&mut client, vec![Up::Open(Session::new(1, 1)).into()]).await;
        assert_eq!(taken.unwrap_err().code(), Code::PermissionDenied);
    });
    assert!(coordinator.ended().is_none(), "the run was over before all was tried: {}", site.logs());

    site.succeed(&mut coordinator);
    site.succeed(&mut steady);
    let (log, errors) = (site.log(), coordinator.errors());
    assert!(!log.contains("panicked") && !errors.contains("panicked"), "{log}{errors}");
    assert!(!log.contains("worker steady is gone"), "{log}");
    assert!(!log.contains("\nforged") && !log.contains('\u{1b}'), "{log}");
    assert!(log.contains("worker liar is late in step"), "{log}");
    for reason in [
        "of another step",
        "no such chunk",
        "a node that was not assigned",
        "of an ended session",
        "wrong length",
    ] {
        assert!(log.contains(&format!("gradient chunks were refused: {reason}")), "{reason}\n{log}");
    }
    assert_eq!(site.results().workers.joined, 2, "the steady one and the liar, once each: {log}");
    Oracle::new(&site).assert_equal(&site);
}

/// Bytes that are no HTTP/2, and half of it.
fn plain_tcp(address: SocketAddr) {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // A frame that announces 16 MiB, of a type that is not known.
    let vast = [0xff, 0xff, 0xff, 0xee, 0xff, 0xff, 0xff, 0xff, 0xff];
    let attempts: [&[u8]; 6] = [
        b"",
        &[0; 70_000],
        b"GET / HTTP/1.1\r\nHost: lockstep\r\n\r\n",
        &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        &[preface.as_slice(), &settings, &vast].concat(),
        &[preface.as_slice(), &settings[..5]].concat(),
    ];
    for bytes in attempts {
        let mut stream = TcpStream::connect(address).unwrap();
        // It may be closed before all is written.
        let _ = stream.write_all(bytes);
    }
}

/// Bytes that are no protobuf, and messages past the limit, on each of the three.
async fn garbage(channel: &Channel) {
    let payloads = [
        Bytes::from_static(&[0xff; 40]),
        Bytes::from_static(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        Bytes::from_static(&[0x0a, 0x02, 0x12, 0x7f]),
        Bytes::new(),
        Bytes::from(vec![0; MESSAGE_LIMIT + 1]),
        Bytes::from(vec![0x0a; 8 << 20]),
    ];
    for method in ["Control", "Tensors", "Rows", "Nothing"] {
        for payload in &payloads {
            let path = format!("/lockstep.v1.Cluster/{method}").parse().unwrap();
            let mut client = tonic::client::Grpc::new(channel.clone());
            client.ready().await.unwrap();
            let messages = tokio_stream::iter([payload.clone()]);
            let answer = client.streaming(Request::new(messages), path, Raw).await;
            if let Ok(answer) = answer {
                let mut answer: Streaming<Bytes> = answer.into_inner();
                while let Ok(Some(_)) = answer.message().await {}
            }
        }
    }
}

async fn control(
    client: &mut Client,
    first: wire::FromWorker,
) -> Result<(UnboundedSender<wire::FromWorker>, Streaming<wire::ToWorker>), Status> {
    let (out, outgoing) = unbounded_channel();
    out.send(first).unwrap();
    Ok((out, client.control(UnboundedReceiverStream::new(outgoing)).await?.into_inner()))
}

async fn tensors(
    client: &mut Client,
    first: Vec<wire::TensorsUp>,
) -> Result<(UnboundedSender<wire::TensorsUp>, Streaming<wire::TensorsDown>), Status> {
    let (out, outgoing) = unbounded_channel();
    first.into_iter().for_each(|message| out.send(message).unwrap());
    Ok((out, client.tensors(UnboundedReceiverStream::new(outgoing)).await?.into_inner()))
}

fn hello(protocol: u32, name: &str) -> wire::FromWorker {
    let (name, host) = (name.into(), "elsewhere".into());
    let (numerics, cpu) = (numerics::name(), String::new());
    FromWorker::Hello(Hello { protocol, name, host, pid: 1, numerics, cpu }).into()
}

async fn welcomed(
    client: &mut Client,
    name: &str,
) -> (Welcome, UnboundedSender<wire::FromWorker>, Streaming<wire::ToWorker>) {
    let (out, mut answers) = control(client, hello(PROTOCOL, name)).await.unwrap();
    let first = answers.message().await.unwrap().unwrap().try_into().unwrap();
    let ToWorker::Welcome(welcome) = first else { panic!("{first:?}") };
    (welcome, out, answers)
}

async fn wrong_first_messages(client: &mut Client) {
    let empty = wire::FromWorker { message: None };
    let evaluated = wire::FromWorker {
        message: Some(wire::from_worker::Message::Evaluated(wire::Evaluated { step: 1, pieces: vec![] })),
    };
    for first in [FromWorker::Heartbeat.into(), empty, evaluated] {
        assert_eq!(control(client, first).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let empty = wire::TensorsUp { message: None };
    for first in [Up::Release(3).into(), empty, gradient(0, Node::leaf(0), 0, 4)] {
        assert_eq!(tensors(client, vec![first]).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let (_out, mut answers) = control(client, hello(PROTOCOL + 1, "old")).await.unwrap();
    let answer = answers.message().await.unwrap().unwrap();
    let Some(wire::to_worker::Message::Refused(refused)) = answer.message else { panic!("{answer:?}") };
    assert_eq!(refused.reason(), wire::refused::Reason::Protocol);
    assert!(answers.message().await.unwrap().is_none(), "the stream ends");
    // No name forges a line of the log, or speaks to an operator's terminal.
    for (protocol, reason) in
        [(PROTOCOL, wire::refused::Reason::Malformed), (PROTOCOL + 1, wire::refused::Reason::Protocol)]
    {
        let (_out, mut answers) = control(client, hello(protocol, "x\nforged\u{1b}[2J")).await.unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        let Some(wire::to_worker::Message::Refused(refused)) = answer.message else { panic!("{answer:?}") };
        assert_eq!(refused.reason(), reason);
    }
}

async fn unknown_sessions(client: &mut Client) {
    let (welcome, out, answers) = welcomed(client, "ended").await;
    drop((out, answers));
    let sessions =
        [Session::from_u64(0), Session::from_u64(u64::MAX), Session::new(0, 1), Session::new(1, 999)];
    for session in sessions {
        refused_everywhere(client, session).await.unwrap();
    }
    // That its stream ended is noticed a moment later.
    while refused_everywhere(client, welcome.session).await.is_err() {
        tokio::task::yield_now().await;
    }
    let mut request = wire::RowsRequest::from(request(welcome.session));
    request.dataset = 77;
    assert_eq!(client.rows(request).await.unwrap_err().code(), Code::InvalidArgument);
}

fn request(session: Session) -> RowsRequest {
    RowsRequest { session, dataset: Dataset::Train, first: 0, count: 1 }
}

async fn refused_everywhere(client: &mut Client, session: Session) -> Result<(), &'static str> {
    let rows = client.rows(wire::RowsRequest::from(request(session))).await;
    if rows.is_ok() {
        return Err("rows were served");
    }
    let opened = tensors(client, vec![Up::Open(session).into()]).await;
    match (rows.unwrap_err().code(), opened.map(|_| ()).map_err(|status| status.code())) {
        (Code::PermissionDenied, Err(Code::PermissionDenied)) => Ok(()),
        _ => Err("it was not refused as unknown"),
    }
}

fn gradient(step: u64, node: Node, chunk: u32, bytes: usize) -> wire::TensorsUp {
    let summary = Summary { loss: 1.0, weight: 1.0, rows: 1 };
    let payload = Bytes::from(vec![0; bytes]);
    let generation = Generation::new(1, 1);
    Up::Gradient(Gradient { generation, step, node, chunk, summary, payload }).into()
}

/// Rows past the end are none; gradients of who is not a member are refused.
async fn a_session_that_is_not_ready(client: &mut Client) {
    let (welcome, out, _answers) = welcomed(client, "not-ready").await;
    for (first, count, rows) in [(0, u64::MAX, 1437), (1430, 100, 7), (u64::MAX, u64::MAX, 0), (0, 0, 0)] {
        let request = RowsRequest { first, count, ..request(welcome.session) };
        let mut parts = client.rows(wire::RowsRequest::from(request)).await.unwrap().into_inner();
        let mut found = 0;
        while let Some(part) = parts.message().await.unwrap() {
            found += part.count;
        }
        assert_eq!(found, rows);
    }
    let (up, _down) = tensors(client, vec![Up::Open(welcome.session).into()]).await.unwrap();
    for step in 0..50 {
        up.send(gradient(step, Tree::root(), 0, 33 * 65 * 4 + 34 * 10 * 4)).unwrap();
    }
    up.send(Up::Release(u64::MAX).into()).unwrap();
    // A second stream of the session is refused, and the first goes on.
    let second = tensors(client, vec![Up::Open(welcome.session).into()]).await;
    assert_eq!(second.unwrap_err().code(), Code::PermissionDenied);
    // Messages of other places, and one that makes no sense: it ends this session and no other.
    up.send(wire::TensorsUp { message: None }).unwrap();
    out.send(hello(PROTOCOL, "steady")).ok();
}

/// The root of eight shards.
struct Tree;

impl Tree {
    const fn root() -> Node {
        Node { level: 3, position: 0 }
    }
}

async fn wrong_numerics(client: &mut Client) {
    let (welcome, out, mut answers) = welcomed(client, "other-bits").await;
    let (_up, _down) = tensors(client, vec![Up::Open(welcome.session).into()]).await.unwrap();
    out.send(FromWorker::Ready(Ready { fingerprint: [7; 32], threads: u32::MAX }).into()).unwrap();
    let answer = answers.message().await.unwrap().unwrap();
    let Some(wire::to_worker::Message::Refused(refused)) = answer.message else { panic!("{answer:?}") };
    assert_eq!(refused.reason(), wire::refused::Reason::Numerics);
}

/// It has the run's fingerprint, and so is given work; what it sends instead is refused, and when it
/// goes, others do its work in the same step.
async fn a_member_that_lies(client: &mut Client) {
    let (welcome, out, mut answers) = welcomed(client, "liar").await;
    let run = lockstep_core::run::parse(&welcome.run, &[]).unwrap();
    let shape: lockstep_data::Shape = serde_json::from_str(&welcome.train).unwrap();
    let target = lockstep_core::model::Target::Classes(10);
    let model =
        lockstep_core::model::Model::embedding(&run.model, &shape.sample, &shape.embeddings, target).unwrap();
    let fingerprint = numerics::fingerprint(&run, &model, target, shape.rows);
    let (up, mut down) = tensors(client, vec![Up::Open(welcome.session).into()]).await.unwrap();
    let ready = FromWorker::Ready(Ready { fingerprint, threads: 1 });
    out.send(ready.clone().into()).unwrap();
    out.send(ready.into()).unwrap();
    let bytes = model.layout().len() * 4;
    // It lies at once, before others help with what it does not compute, and in several steps.
    let mut last: Option<(u32, u64, Node)> = None;
    while last.is_none_or(|(times, ..)| times < 5) {
        match answers.message().await.unwrap().unwrap().try_into().unwrap() {
            ToWorker::Assign(assign) => {
                let (step, node) = (assign.step, assign.nodes[0]);
                lies(step, node, bytes).into_iter().for_each(|lie| up.send(lie).unwrap());
                last = Some((last.map_or(0, |(times, ..)| times) + 1, step, node));
            }
            ToWorker::Accepted | ToWorker::Evaluate(_) => {
                // Sums of pieces that it was not asked for.
                let piece =
                    wire::PieceSums { piece: 77, rows: u64::MAX, weight: f64::NAN, ..Default::default() };
                let evaluated = wire::Evaluated { step: u64::MAX, pieces: vec![piece] };
                let message = Some(wire::from_worker::Message::Evaluated(evaluated));
                out.send(wire::FromWorker { message }).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    let Some((_, step, node)) = last else { return };
    // It lives and does nothing for longer than three heartbeats. It stays, and holds up nobody.
    for _ in 0..15 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        out.send(FromWorker::Heartbeat.into()).unwrap();
    }
    // It had its weights.
    assert!(down.message().await.unwrap().is_some());
    // Past the limit: the coordinator ends the session.
    up.send(gradient(step, node, 0, 2 * MESSAGE_LIMIT)).unwrap();
    while let Ok(Some(_)) = answers.message().await {}
}

/// Gradients that are not of this step, node, chunk or length, and claims that nobody can make.
fn lies(step: u64, node: Node, bytes: usize) -> Vec<wire::TensorsUp> {
    let outside = Node { level: 3, position: 70 };
    vec![
        gradient(step.wrapping_sub(1), node, 0, bytes),
        gradient(step + 1_000_000, node, 0, bytes),
        gradient(u64::MAX, node, 0, bytes),
        gradient(step, node, 1, bytes),
        gradient(step, node, u32::MAX, bytes),
        gradient(step, Tree::root(), 0, bytes),
        gradient(step, outside, 0, bytes),
        gradient(step, node, 0, bytes - 1),
        gradient(step, node, 0, 0),
        gradient(step, node, 0, MESSAGE_LIMIT - 200),
        Up::Release(u64::MAX).into(),
        Up::Open(Session::new(1, 1)).into(),
    ]
}
