//! What a command line says of security: who may join, and whom a worker believes.

pub mod authority;
mod coordinating;
pub mod files;
mod secrets;
mod working;

use std::path::Path;

use lockstep_coordinator::door::Door;
use lockstep_proto::tls::Token;

use crate::failure::Failure;
pub use coordinating::{GuardArguments, Join};
pub use working::{CoordinatorArguments, TrustArguments};

/// A join token, instead of its file.
const TOKEN: &str = "LOCKSTEP_TOKEN";

/// Variables that say how to reach a coordinator across a network; a local cluster's workers must not
/// inherit them.
pub const VARIABLES: [&str; 4] = ["LOCKSTEP_CERTS", "LOCKSTEP_TOKEN_FILE", TOKEN, "LOCKSTEP_CA_FINGERPRINT"];

/// What a run makes by itself for workers of other machines: the door, its authority's fingerprint, and the
/// token that goes with it.
///
/// # Errors
/// They cannot be written, or read.
pub fn join_token(run: &Path) -> Result<(Door, String, String), Failure> {
    let secrets = secrets::Secrets::of_run(run, None)?;
    let file = secrets.token_file.ok_or_else(|| Failure::failed("the run has no join token"))?;
    Ok((secrets.door, secrets.fingerprint.to_string(), files::read(&file)?.trim().to_owned()))
}

/// The token of a file, or else of the environment.
fn token(file: Option<&Path>) -> Result<Option<Token>, Failure> {
    if let Some(file) = file {
        return Token::read(file).map(Some).map_err(|error| Failure::usage(format!("--token-file {error}")));
    }
    match std::env::var(TOKEN) {
        Ok(text) if !text.is_empty() => {
            Token::parse(&text).map(Some).map_err(|why| Failure::usage(format!("the variable {TOKEN} {why}")))
        }
        _ => Ok(None),
    }
}
