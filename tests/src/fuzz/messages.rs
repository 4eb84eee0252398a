//! Messages of the wire: as bytes, and to the machines of both sides.

use std::time::Duration;

use bytes::Bytes;
use lockstep_coordinator::assemble::{self, Standing};
use lockstep_coordinator::cluster::{Input, Output};
use lockstep_coordinator::datasets::Datasets;
use lockstep_core::chunks::Chunks;
use lockstep_core::metrics::Kind;
use lockstep_core::run::parse;
use lockstep_core::run::spec::Wire;
use lockstep_data::{
    Catalog, Encoder, Feature, Features, Inputs, Listing, Prepared, Rows, Skipped, Table, Target, Targets,
};
use lockstep_proto::message::{Down, FromWorker, Hello, RowsRequest, ToWorker, Up};
use lockstep_proto::{Malformed, PROTOCOL, Session, wire};
use lockstep_worker::session;
use prost::Message;

use super::mutate::Mutate;

fn payload(mutate: &mut Mutate) -> Bytes {
    let length = *mutate.one(&[0, 3, 4, 68, 136, 137]);
    (0..length).map(|_| if mutate.one_in(9) { 0xff } else { mutate.number() as u8 & 0x3f }).collect()
}

fn node(mutate: &mut Mutate) -> wire::Node {
    wire::Node { level: mutate.awkward() as u32, position: mutate.awkward() as u32 }
}

fn from_worker(mutate: &mut Mutate) -> wire::FromWorker {
    use wire::from_worker::Message;
    let message = match mutate.below(7) {
        5 => Message::Computed(wire::Computed {
            generation: mutate.awkward(),
            step: mutate.awkward(),
            shards: mutate.awkward() as u32,
            micros: mutate.awkward(),
        }),
        6 => Message::Leave(wire::Leave {}),
        0 => Message::Hello(wire::Hello {
            protocol: if mutate.one_in(3) { mutate.awkward() as u32 } else { PROTOCOL },
            name: mutate.below(3).to_string(),
            ..wire::Hello::default()
        }),
        1 | 2 => Message::Ready(wire::Ready {
            fingerprint: vec![mutate.one_in(4).into(); if mutate.one_in(5) { 31 } else { 32 }].into(),
            threads: mutate.awkward() as u32,
        }),
        3 => Message::Heartbeat(wire::Heartbeat {}),
        _ => {
            let pieces = (0..mutate.below(3)).map(|_| wire::PieceSums {
                piece: mutate.awkward() as u32,
                rows: mutate.awkward(),
                loss: f64::from_bits(mutate.awkward()),
                ..wire::PieceSums::default()
            });
            Message::Evaluated(wire::Evaluated { pieces: pieces.collect(), step: mutate.awkward() })
        }
    };
    wire::FromWorker { message: Some(message).filter(|_| !mutate.one_in(40)) }
}

fn up(mutate: &mut Mutate) -> wire::TensorsUp {
    use wire::tensors_up::Message;
    let message = match mutate.below(8) {
        0 => Message::Open(wire::Open { session: mutate.awkward() }),
        1 => Message::Release(wire::Release { step: mutate.awkward() }),
        _ => Message::Gradient(wire::Gradient {
            generation: mutate.awkward(),
            step: if mutate.one_in(3) { mutate.awkward() } else { 0 },
            node: Some(if mutate.one_in(2) { node(mutate) } else { wire::Node { level: 1, position: 0 } })
                .filter(|_| !mutate.one_in(40)),
            chunk: if mutate.one_in(3) { mutate.awkward() as u32 } else { 0 },
            loss: if mutate.one_in(9) { f64::from_bits(mutate.awkward()) } else { 1.0 },
            weight: if mutate.one_in(9) { f64::from_bits(mutate.awkward()) } else { 2.0 },
            rows: mutate.awkward(),
            payload: payload(mutate),
        }),
    };
    wire::TensorsUp { message: Some(message).filter(|_| !mutate.one_in(40)) }
}

fn down(mutate: &mut Mutate) -> wire::TensorsDown {
    use wire::tensors_down::Message;
    let message = if mutate.one_in(4) {
        Message::Grant(wire::Grant { step: mutate.awkward(), chunks: mutate.awkward() as u32 })
    } else {
        let chunk = if mutate.one_in(3) { mutate.awkward() as u32 } else { 0 };
        Message::Weights(wire::Weights {
            step: mutate.awkward(),
            chunk,
            exact: mutate.one_in(3),
            payload: payload(mutate),
        })
    };
    wire::TensorsDown { message: Some(message).filter(|_| !mutate.one_in(40)) }
}

fn to_worker(mutate: &mut Mutate) -> wire::ToWorker {
    use wire::to_worker::Message;
    let message = match mutate.below(7) {
        6 => Message::Leave(wire::Leave {}),
        0 => Message::Refused(wire::Refused { reason: mutate.awkward() as i32, text: "no".into() }),
        1 => Message::End(wire::End { outcome: mutate.awkward() as i32, text: "no".into() }),
        2 => Message::Welcome(wire::Welcome { session: mutate.awkward(), ..wire::Welcome::default() }),
        3 => Message::Evaluate(wire::Evaluate {
            generation: mutate.awkward(),
            step: mutate.awkward(),
            pieces: (0..mutate.below(4)).map(|_| mutate.awkward() as u32).collect(),
        }),
        _ => Message::Assign(wire::Assign {
            generation: mutate.awkward(),
            step: mutate.awkward(),
            nodes: (0..mutate.below(4)).map(|_| node(mutate)).collect(),
        }),
    };
    wire::ToWorker { message: Some(message).filter(|_| !mutate.one_in(40)) }
}

/// Bytes of valid messages, mutated, through decoder and conversion and back.
pub(super) fn decode(mutate: &mut Mutate) {
    fn both<W, M>(bytes: &[u8])
    where
        W: Message + Default + PartialEq + From<M>,
        M: TryFrom<W, Error = Malformed> + Clone + std::fmt::Debug,
    {
        let Ok(message) = W::decode(bytes) else { return };
        if let Ok(plain) = M::try_from(message) {
            assert!(!format!("{plain:?}").is_empty());
            let sent = W::from(plain).encode_to_vec();
            let read = W::decode(sent.as_slice()).expect("what is sent is read");
            assert_eq!(M::try_from(read).map(W::from).map(|message| message.encode_to_vec()), Ok(sent));
        }
    }
    let mut bytes = match mutate.below(4) {
        0 => from_worker(mutate).encode_to_vec(),
        1 => up(mutate).encode_to_vec(),
        2 => down(mutate).encode_to_vec(),
        _ => to_worker(mutate).encode_to_vec(),
    };
    mutate.bytes(&mut bytes);
    both::<wire::FromWorker, FromWorker>(&bytes);
    both::<wire::ToWorker, ToWorker>(&bytes);
    both::<wire::TensorsUp, Up>(&bytes);
    both::<wire::TensorsDown, Down>(&bytes);
    both::<wire::RowsRequest, RowsRequest>(&bytes);
}

const RUN: &str = r#"
data = { train = "a.csv", target = "y" }
model = { loss = "cross_entropy", layers = [{ linear = 7 }, "relu", { linear = 2 }] }
train = { epochs = 3, batch_size = 4 }
cluster = { shards = 2, heartbeat_ms = 10 }
checkpoint = { every_steps = 2 }
"#;

/// A coordinator whose workers say anything.
pub(super) fn cluster(mutate: &mut Mutate) {
    let run = parse(RUN, &[]).unwrap();
    let targets = Targets::Classes { count: 2, of: vec![0, 1, 0, 1, 1, 0, 1] };
    let train = Table::new(vec![2], Features::F32(vec![0.25; 14]), targets).unwrap();
    let listing = Listing { shape: train.shape(), whole: true, blocks: Vec::new() };
    let train = Rows::Whole(train.into());
    let validation = mutate.one_in(2).then(|| (train.clone(), listing.clone()));
    let (validation, of_validation) = validation.unzip();
    let encoder = Encoder {
        inputs: Inputs::Columns(vec![Feature::standardized("x", 0.0, 1.0)]),
        target: Target::Classes { column: "y".into(), labels: vec!["0".into(), "1".into()] },
        weights: None,
    };
    let catalog = Catalog {
        encoder,
        train: listing,
        validation: of_validation,
        train_files: Vec::new(),
        validation_files: Vec::new(),
        skipped: Skipped::default(),
    };
    let rows = Datasets::new(Prepared { train, validation, catalog });
    let model = assemble::model(&run, &rows).unwrap();
    let standing = Standing { start: 1, ..Standing::default() };
    let mut cluster = assemble::cluster(&run, &model, &rows, Kind::Classes, standing);
    let mut now = Duration::ZERO;
    let mut generation = None;
    cluster.handle(now, Input::Start);
    for turn in 0..mutate.below(80) {
        let session = Session::new(1, mutate.below(4) as u32);
        let input = match mutate.below(12) {
            _ if turn == 0 => {
                let hello = Hello {
                    protocol: PROTOCOL,
                    name: "a".into(),
                    host: "a".into(),
                    pid: 1,
                    numerics: "a".into(),
                    cpu: "a".into(),
                };
                Input::Control(cluster.new_session(), FromWorker::Hello(hello))
            }
            0 => Input::Gone(session, "gone".into()),
            1 => Input::Saved {
                step: mutate.awkward(),
                result: if mutate.one_in(3) { Err("full".into()) } else { Ok(()) },
            },
            2 if mutate.one_in(9) => Input::Stop,
            3 | 4 => Input::Tensors(session, Up::Open(session)),
            5..8 => match from_worker(mutate).try_into() {
                Ok(FromWorker::Hello(hello)) => {
                    Input::Control(cluster.new_session(), FromWorker::Hello(hello))
                }
                Ok(message) => Input::Control(session, message),
                Err(_) => continue,
            },
            _ => match up(mutate).try_into() {
                Ok(message) => Input::Tensors(session, message),
                Err(_) => continue,
            },
        };
        now += Duration::from_millis(mutate.below(12) as u64);
        cluster.handle(now, input);
        if mutate.one_in(2) {
            cluster.handle_timeout(now);
        }
        while let Some(output) = cluster.poll_output() {
            if let Output::Control(_, ToWorker::Assign(assign)) = &output {
                assert!(generation.is_none_or(|before| before <= assign.generation), "a generation fell");
                generation = Some(assign.generation);
            }
        }
        assert!(cluster.reducer().ledger().waiting() <= cluster.reducer().ledger().most_waiting());
    }
}

/// A worker's session whose coordinator says anything.
pub(super) fn session(mutate: &mut Mutate) {
    let run = parse(RUN, &[]).unwrap();
    let model =
        lockstep_core::model::Model::new(&run.model, &[2], lockstep_core::model::Target::Classes(2)).unwrap();
    let wire = if mutate.one_in(2) { Wire::F32 } else { Wire::Bf16 };
    let mut session =
        session::Session::new(&model, Chunks::new(model.layout()), wire, mutate.awkward() as u32);
    for _ in 0..mutate.below(60) {
        let input = match mutate.below(8) {
            0 => session::Input::Done { shards: mutate.awkward() as u32, micros: mutate.awkward() },
            1 => session::Input::Evaluated(Vec::new()),
            2 => match up(mutate).try_into() {
                Ok(Up::Gradient(gradient)) => session::Input::Chunk(gradient),
                _ => continue,
            },
            3 | 4 => match to_worker(mutate).try_into() {
                Ok(ToWorker::Assign(assign)) => session::Input::Assign(assign),
                Ok(ToWorker::Evaluate(evaluate)) => session::Input::Evaluate(evaluate),
                _ => continue,
            },
            _ => match down(mutate).try_into() {
                Ok(down) => session::Input::Tensors(down),
                Err(_) => continue,
            },
        };
        if session.handle(input).is_err() {
            return;
        }
        while session.poll_output().is_some() {}
    }
}
