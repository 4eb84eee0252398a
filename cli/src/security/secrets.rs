//! The simple way: a coordinator makes certificate and token by itself, and keeps them in the run's
//! directory, so that a resume has the same join line.
//!
//! ```text
//! RUN_DIR/secrets/ca.crt, tls.crt, tls.key, revoked    the coordinator's
//! RUN_DIR/secrets/token                                 whoever has it may work
//! RUN_DIR/secrets/admin/                                ca.crt, tls.crt, tls.key: and with these, stop
//! ```

use std::path::{Path, PathBuf};

use lockstep_coordinator::door::Door;
use lockstep_proto::tls::{Fingerprint, Identity, Token};

use super::authority::{AUTHORITY_DAYS, Authority};
use super::files;
use crate::failure::Failure;

/// What a coordinator made for itself.
#[derive(Debug)]
pub(super) struct Secrets {
    pub(super) door: Door,
    /// Of its authority.
    pub(super) fingerprint: Fingerprint,
    /// The token's, unless it was given.
    pub(super) token_file: Option<PathBuf>,
}

impl Secrets {
    /// Those of the run, made if there are none or if they have expired.
    ///
    /// # Errors
    /// They cannot be written, or read.
    pub(super) fn of_run(run: &Path, given: Option<Token>) -> Result<Self, Failure> {
        let folder = run.join("secrets");
        files::folder(&folder)?;
        if !folder.join("tls.crt").exists()
            || !Identity::read(&folder).map_err(Failure::usage)?.own.is_current()
        {
            // Its key is forgotten: nobody can issue another certificate for this run.
            let authority = Authority::new("lockstep run")?;
            authority.admin("lockstep admin", AUTHORITY_DAYS)?.write(&folder.join("admin"), &authority)?;
            authority.coordinator(&["lockstep".into()], AUTHORITY_DAYS)?.write(&folder, &authority)?;
        }
        let (token, token_file) = match given {
            Some(token) => (token, None),
            None => {
                let path = folder.join("token");
                if !path.exists() {
                    files::write(&path, files::SECRET, &(Token::random().map_err(Failure::failed)? + "\n"))?;
                }
                (Token::read(&path).map_err(Failure::usage)?, Some(path))
            }
        };
        let identity = Identity::read(&folder).map_err(Failure::usage)?;
        let fingerprint = identity.authorities.first().map(|authority| Fingerprint::of(authority));
        let fingerprint =
            fingerprint.ok_or_else(|| Failure::usage(format!("{}: no ca.crt", folder.display())))?;
        let door = Door::token(&folder, token).map_err(Failure::usage)?;
        Ok(Self { door, fingerprint, token_file })
    }
}
