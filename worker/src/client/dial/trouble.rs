//! Why there is no connection, and what to do about it.

use std::io;
use std::net::SocketAddr;

use rustls::{AlertDescription, CertificateError, Error};

use super::config::Config;
use super::servers::OtherAuthority;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It may pass: try again.
    #[error("{0}")]
    Passing(String),
    /// The coordinator does not let this worker in, or this worker does not believe it. Another try gives
    /// the same.
    #[error("{0}")]
    Refused(String),
    /// The command line or its files ask for what cannot be.
    #[error("{0}")]
    Usage(String),
}

impl Trouble {
    pub(super) fn unprotected(address: SocketAddr) -> Self {
        Self::Usage(format!(
            "{address} is not this machine, and plain text would go across the network: use the coordinator's join \
             line (--ca-fingerprint with a token), or --certs DIR; --insecure only where nobody else is on the network"
        ))
    }

    pub(super) fn speaks_tls() -> Self {
        Self::Refused(
            "the coordinator speaks TLS: use its join line (--ca-fingerprint with a token), or --certs DIR"
                .into(),
        )
    }

    pub(super) fn other_service() -> Self {
        Self::Refused(
            "whoever listens there speaks TLS, but is no coordinator of this version: check HOST:PORT, and install \
             the same version on both sides"
                .into(),
        )
    }
}

pub(super) fn no_token() -> Trouble {
    Trouble::Refused(
        "the run has a join token, and this worker has none: --token-file FILE, or the variable LOCKSTEP_TOKEN".into(),
    )
}

pub(super) fn wrong_token() -> Trouble {
    Trouble::Refused(
        "this worker's join token is not the run's: take the one of this run (RUN_DIR/secrets/token)".into(),
    )
}

/// What a failed handshake means.
pub(super) fn explain(error: &io::Error, config: &Config, host: &str) -> Trouble {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(why)) => not_believed(why, host),
        Some(Error::AlertReceived(alert)) => not_let_in(*alert, config),
        Some(Error::InvalidMessage(_)) => Trouble::Refused(
            "the coordinator speaks plain text there: start it with --certs DIR or with a token, or this worker with \
             neither (and, across a network where nobody else is, both with --insecure)"
                .into(),
        ),
        _ => Trouble::Passing(error.to_string()),
    }
}

/// The coordinator's certificate is not taken.
fn not_believed(why: &CertificateError, host: &str) -> Trouble {
    use CertificateError as E;
    let text = match why {
        E::UnknownIssuer | E::BadSignature => {
            "the coordinator's certificate is of another authority than ca.crt: use the ca.crt that was made with it"
                .to_owned()
        }
        E::Expired | E::ExpiredContext { .. } => {
            "the coordinator's certificate has expired (or this machine's clock is wrong): make it a new one".to_owned()
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "the coordinator's certificate is not valid yet: check the clocks of both machines".to_owned()
        }
        E::NotValidForNameContext { presented, .. } => format!(
            "the coordinator's certificate is not for {host:?} but for {}: connect to one of these, or make a \
             certificate with `lockstep certs init DIR --name {host}`",
            presented.join(", ")
        ),
        E::NotValidForName => format!("the coordinator's certificate is not for {host:?}"),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "the certificate there is not a coordinator's (extended key usage serverAuth): somebody may pretend to be \
             one"
                .to_owned()
        }
        E::Other(other) if other.0.downcast_ref::<OtherAuthority>().is_some() => {
            format!(
                "{other}, and --ca-fingerprint says another: take the join line that this run's coordinator has \
                 printed; if it is that, somebody pretends to be the coordinator"
            )
        }
        other => format!("the coordinator's certificate cannot be checked: {other}"),
    };
    Trouble::Refused(text)
}

/// The coordinator has ended the handshake.
fn not_let_in(alert: AlertDescription, config: &Config) -> Trouble {
    use AlertDescription as A;
    let own = config.own.as_ref();
    let dates = own.map_or_else(String::new, |own| format!(" ({})", own.dates()));
    let name = own.map_or("", |own| own.subject.as_str());
    let text = match alert {
        A::CertificateRequired => {
            "the coordinator asks for a certificate: --certs DIR, as `lockstep certs worker NAME` makes it"
                .to_owned()
        }
        A::UnknownCA | A::DecryptError => format!(
            "the coordinator does not know the authority of the certificate {name:?}: make it by the same \
             authority as the coordinator's (lockstep certs worker NAME --dir DIR)"
        ),
        A::CertificateExpired => format!(
            "the certificate {name:?} has expired or is not yet valid by the coordinator's clock{dates}: \
             make a new one, or check the clocks"
        ),
        A::CertificateRevoked => {
            format!("the certificate {name:?} is revoked: it needs a new one (lockstep certs worker NAME)")
        }
        A::UnsupportedCertificate => {
            format!("the certificate {name:?} is not a worker's (extended key usage clientAuth)")
        }
        A::NoApplicationProtocol | A::ProtocolVersion => return Trouble::other_service(),
        A::BadCertificate | A::CertificateUnknown | A::AccessDenied => {
            format!("the coordinator does not take the certificate {name:?}")
        }
        other => return Trouble::Passing(format!("the coordinator ended the handshake: {other:?}")),
    };
    Trouble::Refused(text)
}
