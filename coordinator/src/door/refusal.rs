//! Why a connection was not let in, and how often.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::{CertificateError, Error, PeerIncompatible};

/// Why a connection was not let in, or a call that came over it. Nothing of the run has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// HTTP/2 without TLS, to a port of TLS.
    #[error("plain text, and this port speaks TLS")]
    PlainText,
    /// TLS, to a port without.
    #[error("TLS, and this port speaks plain text")]
    Tls,
    /// Neither TLS nor HTTP/2.
    #[error("neither TLS nor HTTP/2")]
    Noise,
    /// Other versions of TLS, or of what is said after it.
    #[error("another version of TLS or of Lockstep")]
    Version,
    /// There was none.
    #[error("no certificate")]
    NoCertificate,
    /// Its authority is not in ca.crt.
    #[error("a certificate of another authority")]
    OtherAuthority,
    /// Expired, or not yet valid.
    #[error("a certificate that has expired or is not yet valid")]
    Dates,
    /// It is not one of a worker or an admin.
    #[error("a certificate that is not a worker's (extended key usage clientAuth)")]
    Role,
    /// It is in the file `revoked`.
    #[error("a certificate that is revoked")]
    Revoked,
    /// It is damaged, or signed by algorithms that are not known.
    #[error("a certificate that cannot be checked")]
    BadCertificate,
    /// The run has a token.
    #[error("no join token")]
    NoToken,
    /// Of another run, or a proof made for another connection.
    #[error("a wrong join token")]
    WrongToken,
    /// The other side does not believe this one's certificate.
    #[error("it does not take this coordinator's certificate")]
    NotBelieved,
    /// The other side said nothing for too long.
    #[error("the handshake took too long")]
    Slow,
    /// There were too many others.
    #[error("too many connections at once")]
    Crowd,
    /// It ended in the middle.
    #[error("the connection broke in the handshake")]
    Broken,
    /// Let in as somebody else than an admin.
    #[error("a call that only an admin may make")]
    NotAdmin,
    /// Let in as an admin.
    #[error("an admin's certificate, for a worker's work")]
    NotWorker,
}

impl Refusal {
    /// Each of them.
    pub const ALL: [Self; 18] = [
        Self::PlainText,
        Self::Tls,
        Self::Noise,
        Self::Version,
        Self::NoCertificate,
        Self::OtherAuthority,
        Self::Dates,
        Self::Role,
        Self::Revoked,
        Self::BadCertificate,
        Self::NoToken,
        Self::WrongToken,
        Self::NotBelieved,
        Self::Slow,
        Self::Crowd,
        Self::Broken,
        Self::NotAdmin,
        Self::NotWorker,
    ];

    /// For machines: stable, in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PlainText => "plain_text",
            Self::Tls => "tls",
            Self::Noise => "noise",
            Self::Version => "version",
            Self::NoCertificate => "no_certificate",
            Self::OtherAuthority => "other_authority",
            Self::Dates => "dates",
            Self::Role => "role",
            Self::Revoked => "revoked",
            Self::BadCertificate => "bad_certificate",
            Self::NoToken => "no_token",
            Self::WrongToken => "wrong_token",
            Self::NotBelieved => "not_believed",
            Self::Slow => "slow",
            Self::Crowd => "crowd",
            Self::Broken => "broken",
            Self::NotAdmin => "not_admin",
            Self::NotWorker => "not_worker",
        }
    }

    /// What is refused: all but the last two come before anything is called.
    pub const fn what(self) -> &'static str {
        match self {
            Self::NotAdmin | Self::NotWorker => "call",
            _ => "connection",
        }
    }

    /// Of a handshake that failed.
    pub(super) fn of(error: &io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        tls.map_or(Self::Broken, |error| match error {
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(why) => Self::of_certificate(why),
            Error::AlertReceived(_) => Self::NotBelieved,
            Error::NoApplicationProtocol
            | Error::PeerIncompatible(
                PeerIncompatible::Tls13RequiredForQuic
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled,
            ) => Self::Version,
            Error::PeerIncompatible(_) => Self::Version,
            Error::InvalidMessage(_) => Self::Noise,
            _ => Self::Broken,
        })
    }

    fn of_certificate(why: &CertificateError) -> Self {
        use CertificateError as E;
        match why {
            E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. } => {
                Self::Dates
            }
            E::Revoked => Self::Revoked,
            // An authority of the same name but another key is found by its signature.
            E::UnknownIssuer | E::BadSignature => Self::OtherAuthority,
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => Self::Role,
            _ => Self::BadCertificate,
        }
    }
}

/// Connections that were refused, by reason. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<BTreeMap<Refusal, Count>>>);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: u64,
    told: u64,
    when: Option<Instant>,
}

/// A reason is told at once, and then no more often than this: a flood of connections is no flood of lines.
pub(super) const QUIET: Duration = Duration::from_secs(60);

impl Refusals {
    /// Each reason that occurred, and how often.
    pub fn counts(&self) -> BTreeMap<Refusal, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(refusal, count)| (*refusal, count.all)).collect()
    }

    /// Counts one; returns how many there were since the last line about the reason, if it is time for
    /// another.
    pub(crate) fn add(&self, refusal: Refusal) -> Option<u64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(refusal).or_default();
        count.all += 1;
        // Whoever looks whether the port is open connects and goes.
        if refusal == Refusal::Broken || count.when.is_some_and(|when| when.elapsed() < QUIET) {
            return None;
        }
        let since = count.all - count.told;
        (count.told, count.when) = (count.all, Some(Instant::now()));
        Some(since)
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts();
        let all = counts.iter().map(|(refusal, count)| format!("{count} times: {refusal}"));
        f.write_str(&all.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_once() {
        let refusals = Refusals::default();
        let told: Vec<_> = (0..1000).filter_map(|_| refusals.add(Refusal::Slow)).collect();
        assert_eq!(told, [1]);
        assert_eq!(refusals.add(Refusal::NoToken), Some(1));
        assert_eq!(refusals.counts(), BTreeMap::from([(Refusal::Slow, 1000), (Refusal::NoToken, 1)]));
    }

    #[test]
    fn failed_handshakes_have_reasons() {
        let of = |error: Error| Refusal::of(&io::Error::other(error));
        assert_eq!(of(Error::NoCertificatesPresented), Refusal::NoCertificate);
        assert_eq!(of(Error::InvalidCertificate(CertificateError::Expired)), Refusal::Dates);
        assert_eq!(of(Error::InvalidCertificate(CertificateError::UnknownIssuer)), Refusal::OtherAuthority);
        assert_eq!(of(Error::InvalidCertificate(CertificateError::BadEncoding)), Refusal::BadCertificate);
        assert_eq!(of(Error::NoApplicationProtocol), Refusal::Version);
        assert_eq!(Refusal::of(&io::ErrorKind::ConnectionReset.into()), Refusal::Broken);
    }
}
