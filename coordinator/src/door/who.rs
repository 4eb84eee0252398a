//! Who a connection is, and what it may ask for.

use std::fmt;
use std::sync::Arc;

use lockstep_proto::tls::Certificate;

use super::Refusal;

/// As what somebody was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Over plain text within this machine: whoever it is may do everything.
    Neighbour,
    /// Over plain text from elsewhere: may work.
    Anyone,
    /// By the run's join token: may work.
    Bearer,
    /// By a worker's certificate, with its subject.
    Worker(Arc<str>),
    /// By an admin's.
    Admin(Arc<str>),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To be answered, and no more.
    Probe,
    /// To take part.
    Work,
    /// To end the run, or a worker's part in it.
    Stop,
}

impl Who {
    /// Whose certificate has been verified.
    pub(super) fn certified(certificate: &Certificate) -> Self {
        let subject = certificate.subject.as_str().into();
        if certificate.admin { Self::Admin(subject) } else { Self::Worker(subject) }
    }

    /// Why the wish is not granted, for the count and for whoever has it; `None`: it is.
    pub(crate) fn denied(&self, wish: Wish) -> Option<(Refusal, String)> {
        let text = match (self, wish) {
            (Self::Neighbour, _) | (_, Wish::Probe) | (Self::Admin(_), Wish::Stop) => return None,
            (Self::Admin(subject), Wish::Work) => {
                let text = format!(
                    "the certificate {subject:?} is an admin's, which may stop the run and not work in it: use a \
                     worker's (lockstep certs worker NAME)"
                );
                return Some((Refusal::NotWorker, text));
            }
            (_, Wish::Work) => return None,
            (Self::Worker(subject), Wish::Stop) => format!(
                "the certificate {subject:?} is a worker's, and only an admin may do this: use an admin's \
                 (lockstep certs admin NAME)"
            ),
            (Self::Bearer, Wish::Stop) => {
                "whoever has the join token may work, and only an admin may do this: show the run's admin \
                 certificate too (--certs RUN_DIR/secrets/admin)"
                    .to_owned()
            }
            (Self::Anyone, Wish::Stop) => {
                "over plain text across a network nobody is known, and only an admin may do this: send the \
                 process SIGTERM on its machine, or start the coordinator with --certs or a token"
                    .to_owned()
            }
        };
        Some((Refusal::NotAdmin, text))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Neighbour => f.write_str("somebody on this machine"),
            Self::Anyone => f.write_str("somebody"),
            Self::Bearer => f.write_str("somebody with the join token"),
            Self::Worker(subject) => write!(f, "worker {subject:?}"),
            Self::Admin(subject) => write!(f, "admin {subject:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_admin_and_a_neighbour_may_stop_and_an_admin_may_not_work() {
        let all =
            [Who::Neighbour, Who::Anyone, Who::Bearer, Who::Worker("CN=w".into()), Who::Admin("CN=a".into())];
        let denied = |wish| all.each_ref().map(|who| who.denied(wish).map(|(refusal, _)| refusal));
        let no = Some(Refusal::NotAdmin);
        assert_eq!(denied(Wish::Stop), [None, no, no, no, None]);
        assert_eq!(denied(Wish::Work), [None, None, None, None, Some(Refusal::NotWorker)]);
        assert_eq!(denied(Wish::Probe), [None; 5]);
    }
}
