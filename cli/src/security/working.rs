//! Whom a worker or an admin believes, and what they show.

use std::path::PathBuf;

use lockstep_proto::tls::Fingerprint;
use lockstep_worker::Trust;

use super::token;
use crate::failure::Failure;
use crate::launcher::with_port;

/// Arguments of whoever speaks to a coordinator that may be another machine's.
#[derive(Debug, clap::Args)]
pub struct CoordinatorArguments {
    /// Where the coordinator listens; the port is 29500 by default. Without, a worker goes by its launcher's
    /// variables, such as MASTER_ADDR and MASTER_PORT, or to the first host of a Slurm job
    #[arg(long, value_name = "HOST[:PORT]", env = "LOCKSTEP_COORDINATOR", hide_env_values = true)]
    coordinator: Option<String>,
    #[command(flatten)]
    trust: TrustArguments,
}

impl CoordinatorArguments {
    /// `host:port`, if one is named.
    pub fn address(&self) -> Option<String> {
        self.coordinator.as_deref().map(with_port)
    }

    /// How it is spoken to.
    ///
    /// # Errors
    /// As [`TrustArguments::trust`].
    pub fn trust(&self) -> Result<Trust, Failure> {
        self.trust.trust()
    }
}

/// By what the two know each other.
#[derive(Debug, clap::Args)]
pub struct TrustArguments {
    /// A folder with ca.crt, tls.crt and tls.key (lockstep certs worker NAME, or certs admin NAME)
    #[arg(long, value_name = "DIR", env = "LOCKSTEP_CERTS", hide_env_values = true)]
    certs: Option<PathBuf>,
    /// The run's join token (or in the variable LOCKSTEP_TOKEN)
    #[arg(long, value_name = "FILE", env = "LOCKSTEP_TOKEN_FILE", hide_env_values = true)]
    token_file: Option<PathBuf>,
    /// The coordinator's authority, as it prints it; needs a token
    #[arg(long, value_name = "sha256:...", env = "LOCKSTEP_CA_FINGERPRINT", hide_env_values = true)]
    ca_fingerprint: Option<Fingerprint>,
    /// Plain text across a network: only where nobody else is on it
    #[arg(long)]
    insecure: bool,
}

impl TrustArguments {
    /// What they say of an admin. Where the run has a join token, an admin has that, as a worker has, and a
    /// certificate besides.
    ///
    /// # Errors
    /// As [`Self::trust`].
    pub fn of_admin(&self) -> Result<Trust, Failure> {
        if let (Some(folder), Some(authority), false) = (&self.certs, self.ca_fingerprint, self.insecure)
            && let Some(token) = token(self.token_file.as_deref())?
        {
            return Ok(Trust::Pinned { authority, token, folder: Some(folder.clone()) });
        }
        self.trust()
    }

    /// What they say.
    ///
    /// # Errors
    /// They contradict each other, or a file cannot be used.
    pub fn trust(&self) -> Result<Trust, Failure> {
        let token = token(self.token_file.as_deref())?;
        if self.insecure && (self.certs.is_some() || self.ca_fingerprint.is_some() || token.is_some()) {
            return Err(Failure::usage(
                "--insecure is plain text, which has neither certificates nor a token: leave one of them out \
                 (the variables LOCKSTEP_CERTS, LOCKSTEP_TOKEN_FILE, LOCKSTEP_TOKEN and LOCKSTEP_CA_FINGERPRINT count)",
            ));
        }
        match (&self.certs, self.ca_fingerprint, token) {
            (Some(_), Some(_), _) => Err(Failure::usage(
                "--certs and --ca-fingerprint: with certificates the authority is ca.crt; leave one of them out",
            )),
            (Some(folder), None, token) => Ok(Trust::Certificates { folder: folder.clone(), token }),
            (None, Some(authority), Some(token)) => Ok(Trust::Pinned { authority, token, folder: None }),
            (None, Some(_), None) => Err(Failure::usage(
                "--ca-fingerprint needs the run's join token: --token-file FILE, or the variable LOCKSTEP_TOKEN",
            )),
            (None, None, Some(_)) => Err(Failure::usage(
                "a join token is only of use with a coordinator that is known: --ca-fingerprint sha256:..., as the \
                 coordinator prints it, or --certs DIR",
            )),
            (None, None, None) => Ok(Trust::Plain { anywhere: self.insecure }),
        }
    }
}
