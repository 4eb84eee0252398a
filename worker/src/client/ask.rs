//! What an admin asks of a coordinator. No session is needed.

use std::time::Duration;

use lockstep_proto::wire::{StopAnswer, StopRequest, cluster_client::ClusterClient};
use tonic::{Code, Status};

use super::connect::{self, Lost};
use super::dial::{Seen, Trouble, Trust};

/// What was asked for is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The run's name.
    pub run: String,
    /// The step at hand: it ends with it.
    pub step: u64,
    /// Workers that go on, where one was asked to leave.
    pub staying: u32,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// What the command line asks for cannot be.
    #[error("{0}")]
    Usage(String),
    /// Nobody is there, or not for this caller.
    #[error("{0}")]
    Failed(String),
}

/// From connecting to the answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the run, or one worker by its name, to end in order. The coordinator has heard it when this returns.
///
/// # Errors
/// Nobody answers there, the caller is no admin, or there is no such worker.
pub async fn stop(coordinator: &str, trust: &Trust, worker: Option<&str>) -> Result<Asked, NotAsked> {
    let asked = tokio::time::timeout(PATIENCE, ask(coordinator, trust, worker.unwrap_or_default()));
    let silent = || {
        NotAsked::Failed(format!("it did not answer within {} s, and may still do it", PATIENCE.as_secs()))
    };
    asked.await.unwrap_or_else(|_| Err(silent()))
}

async fn ask(coordinator: &str, trust: &Trust, worker: &str) -> Result<Asked, NotAsked> {
    let seen = Seen::default();
    let channel = connect::channel(coordinator, trust, &seen).await.map_err(|lost| match lost {
        Lost::Door(Trouble::Usage(why)) => NotAsked::Usage(why),
        lost => NotAsked::Failed(lost.to_string()),
    })?;
    let answer = ClusterClient::new(channel).stop(StopRequest { worker: worker.to_owned() }).await;
    let answer = answer.map_err(|status| {
        let unheard = |trouble: &Trouble| NotAsked::Failed(trouble.to_string());
        seen.get().map_or_else(|| refused(&status), unheard)
    })?;
    let StopAnswer { run, step, staying } = answer.into_inner();
    Ok(Asked { run, step, staying })
}

fn refused(status: &Status) -> NotAsked {
    match status.code() {
        Code::NotFound => NotAsked::Usage(status.message().to_owned()),
        Code::Unimplemented => NotAsked::Failed(
            "its release is older, and cannot be asked this: send its process SIGTERM on its machine".into(),
        ),
        _ => NotAsked::Failed(status.message().to_owned()),
    }
}
