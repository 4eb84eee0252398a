//! Who may join a run: `--certs`, `--token-file`, `--insecure`, or what the coordinator makes by itself.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lockstep_coordinator::door::Door;
use lockstep_proto::tls::Token;

use super::secrets::Secrets;
use super::{TOKEN, files, token};
use crate::failure::Failure;
use crate::print;

/// Arguments of a coordinator that listens for workers of other machines.
#[derive(Debug, clap::Args)]
pub struct GuardArguments {
    /// A folder with ca.crt, tls.crt and tls.key (lockstep certs init): workers need a certificate by the
    /// same authority. Without, on an address that others can reach, workers need the join token that is
    /// printed
    #[arg(long, value_name = "DIR", env = "LOCKSTEP_CERTS", hide_env_values = true)]
    certs: Option<PathBuf>,
    /// A join token that workers must have: 64 hexadecimal digits (or in the variable LOCKSTEP_TOKEN)
    #[arg(long, value_name = "FILE", env = "LOCKSTEP_TOKEN_FILE", hide_env_values = true)]
    token_file: Option<PathBuf>,
    /// Plain text, and whoever reaches the port may join, read the data and change the result
    #[arg(long, conflicts_with_all = ["certs", "token_file"])]
    insecure: bool,
}

/// What was asked for, as far as it can be checked before the run is known.
#[derive(Debug)]
pub enum Guard {
    Certificates(Door, TokenFrom),
    Token(Token, TokenFrom),
    Insecure,
    Nothing,
}

/// Where workers find a token.
#[derive(Debug)]
pub enum TokenFrom {
    Nowhere,
    File(PathBuf),
    Environment,
}

impl GuardArguments {
    /// Checks files, before data are read for minutes.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn check(&self) -> Result<Guard, Failure> {
        if self.insecure {
            return Ok(Guard::Insecure);
        }
        let token = token(self.token_file.as_deref())?;
        let from = match (&self.token_file, &token) {
            (Some(file), _) => TokenFrom::File(file.clone()),
            (None, Some(_)) => TokenFrom::Environment,
            (None, None) => TokenFrom::Nowhere,
        };
        match (&self.certs, token) {
            (Some(folder), token) => {
                let door = Door::certificates(folder, token)
                    .map_err(|error| Failure::usage(format!("--certs: {error}")))?;
                Ok(Guard::Certificates(door, from))
            }
            (None, Some(token)) => Ok(Guard::Token(token, from)),
            (None, None) => Ok(Guard::Nothing),
        }
    }
}

impl Guard {
    /// The door of a coordinator that listens there, and what a worker's command line needs.
    ///
    /// # Errors
    /// The run's secrets cannot be made.
    pub fn door(self, address: SocketAddr, run: &Path) -> Result<(Door, Join), Failure> {
        match self {
            Self::Certificates(door, from) => {
                let options = format!(" --certs DIR{}", from.option());
                Ok((door, Join { before: from.before(), options }))
            }
            Self::Token(token, from) => with_token(run, Some(token), from),
            Self::Nothing if !address.ip().is_loopback() => with_token(run, None, TokenFrom::Nowhere),
            Self::Insecure if !address.ip().is_loopback() => {
                let text = format!(
                    "INSECURE: plain text on {address}: whoever reaches it may join, read the data and change the \
                     result"
                );
                tracing::warn!("{text}");
                print::note(text);
                Ok((Door::default(), Join { options: " --insecure".into(), ..Join::default() }))
            }
            Self::Nothing | Self::Insecure => Ok((Door::default(), Join::default())),
        }
    }
}

/// What a worker's command line needs besides the address.
#[derive(Debug, Default)]
pub struct Join {
    pub before: String,
    pub options: String,
}

fn with_token(run: &Path, token: Option<Token>, from: TokenFrom) -> Result<(Door, Join), Failure> {
    // The line works from any folder.
    let run = &std::path::absolute(run).unwrap_or_else(|_| run.to_owned());
    let Secrets { door, fingerprint, token_file } = Secrets::of_run(run, token)?;
    let from = token_file.map_or(from, TokenFrom::File);
    let (before, option) = match &from {
        // Into a log or a pipe no secret goes.
        TokenFrom::File(file) if file.starts_with(run) && io::stderr().is_terminal() => {
            (format!("{TOKEN}={} ", files::read(file)?.trim()), String::new())
        }
        from => (from.before(), from.option()),
    };
    Ok((door, Join { before, options: format!(" --ca-fingerprint {fingerprint}{option}") }))
}

impl TokenFrom {
    fn option(&self) -> String {
        match self {
            Self::File(file) => format!(" --token-file {}", file.display()),
            Self::Nowhere | Self::Environment => String::new(),
        }
    }

    fn before(&self) -> String {
        match self {
            Self::Environment => format!("{TOKEN}=... "),
            Self::Nowhere | Self::File(_) => String::new(),
        }
    }
}
