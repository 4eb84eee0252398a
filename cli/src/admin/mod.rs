//! What a process tells those who operate it, over HTTP: whether it lives and is ready, its metrics and
//! its status. It is only looked at; nothing can be changed, and nothing secret is told.

mod client;
mod coordinator;
mod exposition;
mod process;
mod server;
mod worker;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::print;

pub use client::{address, live, status};
pub use coordinator::Coordinating;
pub use worker::Working;

/// A thread that has not turned for so long is hung. The longest that it does in one turn is an update
/// of the whole model.
const HUNG: Duration = Duration::from_secs(30);

/// Where `lockstep coordinator` and `up` listen unless they are told.
const USUAL: &str = "127.0.0.1:29501";

/// What is looked at.
pub trait Subject: Send + Sync + 'static {
    /// An error says why the process should be started anew.
    fn live(&self) -> Result<(), String>;
    /// An error says why nothing should be sent to it yet.
    fn ready(&self) -> Result<(), String>;
    /// In Prometheus' text format.
    fn metrics(&self) -> String;
    /// As JSON.
    fn status(&self) -> Status;
}

/// `/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum Status {
    /// Of `lockstep coordinator`, `up` and `train`.
    Coordinator(Box<lockstep_coordinator::view::View>),
    /// Of `lockstep worker`.
    Worker(Box<lockstep_worker::view::View>),
}

/// Where to listen.
#[derive(Debug, clap::Args)]
pub struct AdminArguments {
    /// Where to answer /livez, /readyz, /metrics and /status over plain HTTP, or off [default: 127.0.0.1:29501
    /// for coordinator and up, off for train and worker]
    #[arg(long, value_name = "ADDR", env = "LOCKSTEP_ADMIN", hide_env_values = true)]
    admin: Option<String>,
}

impl AdminArguments {
    /// Answers where the command line says, or nowhere.
    ///
    /// # Errors
    /// The address cannot be listened on (1).
    pub fn start(&self, subject: impl Subject) -> Result<(), Failure> {
        match self.admin.as_deref() {
            None | Some("off" | "") => Ok(()),
            Some(address) => {
                let failed = |error| Failure::failed(format!("--admin {address}: cannot listen: {error}"));
                let bound = start(address, subject).map_err(failed)?;
                print::note(format!("admin on http://{bound}: /livez /readyz /metrics /status"));
                Ok(())
            }
        }
    }

    /// The same where one listener is usual: if its port is taken, by another run as a rule, this one goes
    /// on without.
    ///
    /// # Errors
    /// An address that was asked for cannot be listened on (1).
    pub fn start_usual(&self, subject: impl Subject) -> Result<(), Failure> {
        if self.admin.is_some() {
            return self.start(subject);
        }
        if let Err(error) = start(USUAL, subject) {
            print::note(format!("no admin listener on {USUAL}: {error} (--admin ADDR, or --admin off)"));
        }
        Ok(())
    }
}

fn start(address: &str, subject: impl Subject) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    server::start(listener, subject)?;
    Ok(address)
}
