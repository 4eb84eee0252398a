//! How far away a coordinator is: its answers are timed, and bytes are sent to it and back. Nothing of its
//! run is touched, and no session is needed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use lockstep_proto::wire::{ProbeAnswer, ProbeRequest, cluster_client::ClusterClient};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::connect;
use super::dial::{Seen, Trust};

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probed {
    /// Version of the wire contract that the coordinator speaks.
    pub protocol: u32,
    /// The median of a few empty calls.
    pub round_trip: Duration,
    /// How many seconds the coordinator's clock is ahead of this one, give or take half a round trip.
    pub ahead_seconds: f64,
    /// Bytes a second to the coordinator.
    pub up: f64,
    /// Bytes a second from it.
    pub down: f64,
}

/// Calls that are timed.
const CALLS: usize = 21;

/// Bytes are sent for so long, in each direction.
const SENDING: Duration = Duration::from_secs(1);

/// And not more of them than this, however fast it goes.
const MOST: u64 = 256 << 20;

/// Bytes of one call.
const PAYLOAD: usize = 1 << 20;

/// So many calls are on their way at once.
const AT_ONCE: usize = 8;

/// For all of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures, in a few seconds.
///
/// # Errors
/// Nobody answers there, or it does not let this worker in: what the reason is.
pub async fn probe(coordinator: &str, trust: &Trust) -> Result<Probed, String> {
    let measured = tokio::time::timeout(PATIENCE, measure(coordinator, trust));
    measured.await.unwrap_or_else(|_| Err(format!("it did not answer within {} s", PATIENCE.as_secs())))
}

async fn measure(coordinator: &str, trust: &Trust) -> Result<Probed, String> {
    let channel = connect::channel(coordinator, trust, &Seen::default()).await;
    let mut client = ClusterClient::new(channel.map_err(|lost| lost.to_string())?);
    let mut calls = Vec::with_capacity(CALLS);
    let mut protocol = 0;
    for _ in 0..CALLS {
        let (sent, began) = (SystemTime::now(), Instant::now());
        let answer = client.probe(ProbeRequest::default()).await.map_err(refused)?.into_inner();
        let took = began.elapsed();
        let ours = sent.duration_since(UNIX_EPOCH).unwrap_or_default() + took / 2;
        calls.push((took, answer.unix_micros as f64 / 1e6 - ours.as_secs_f64()));
        protocol = answer.protocol;
    }
    calls.sort_by_key(|(took, _)| *took);
    let (round_trip, _) = calls.get(CALLS / 2).copied().unwrap_or_default();
    // The quickest call says most of the clock.
    let (_, ahead_seconds) = calls.first().copied().unwrap_or_default();
    let payload = Bytes::from(vec![0; PAYLOAD]);
    let up = rate(&client, &ProbeRequest { payload, answer: 0 }).await?;
    let down = rate(&client, &ProbeRequest { payload: Bytes::new(), answer: PAYLOAD as u32 }).await?;
    Ok(Probed { protocol, round_trip, ahead_seconds, up, down })
}

/// Payload bytes a second, in whichever direction they go.
async fn rate(client: &ClusterClient<Channel>, request: &ProbeRequest) -> Result<f64, String> {
    let (began, mut bytes, mut calls) = (Instant::now(), 0, JoinSet::new());
    loop {
        while calls.len() < AT_ONCE && began.elapsed() < SENDING && bytes < MOST {
            let (mut client, request) = (client.clone(), request.clone());
            bytes += PAYLOAD as u64;
            calls.spawn(async move { client.probe(request).await });
        }
        match calls.join_next().await {
            Some(Ok(answer)) => drop::<tonic::Response<ProbeAnswer>>(answer.map_err(refused)?),
            Some(Err(error)) => return Err(error.to_string()),
            None => return Ok(bytes as f64 / began.elapsed().as_secs_f64().max(1e-9)),
        }
    }
}

fn refused(status: Status) -> String {
    match status.code() {
        Code::Unimplemented => "its release is older, and answers no such questions".into(),
        _ => status.message().to_owned(),
    }
}
