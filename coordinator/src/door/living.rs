//! Connections that are open, by certificate: a revocation ends those that it concerns.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lockstep_proto::tls::Fingerprint;
use tokio::sync::oneshot;

/// What is revoked, and what is open.
#[derive(Debug, Default)]
pub(super) struct Living(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    revoked: BTreeSet<Fingerprint>,
    /// The certificates of a connection, and what ends it.
    open: Vec<(Vec<Fingerprint>, oneshot::Sender<()>)>,
}

impl Living {
    pub(super) fn is_revoked(&self, certificate: Fingerprint) -> bool {
        self.books().revoked.contains(&certificate)
    }

    /// Enters a connection by all its certificates; resolves when it is to end. `None`: one of them has
    /// been revoked since it was checked.
    pub(super) fn enter(&self, certificates: Vec<Fingerprint>) -> Option<oneshot::Receiver<()>> {
        let mut books = self.books();
        if certificates.iter().any(|one| books.revoked.contains(one)) {
            return None;
        }
        let (end, ended) = oneshot::channel();
        books.open.retain(|(_, end)| !end.is_closed());
        books.open.push((certificates, end));
        Some(ended)
    }

    /// Replaces what is revoked; returns how many connections end by it.
    pub(super) fn revoke(&self, revoked: BTreeSet<Fingerprint>) -> usize {
        let mut books = self.books();
        books.revoked = revoked;
        let Books { revoked, open } = &mut *books;
        let all = std::mem::take(open).into_iter().filter(|(_, end)| !end.is_closed());
        let (out, stay): (Vec<_>, Vec<_>) =
            all.partition(|(certificates, _)| certificates.iter().any(|one| revoked.contains(one)));
        *open = stay;
        out.into_iter().filter_map(|(_, end)| end.send(()).ok()).count()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_ends_what_it_concerns() {
        let living = Living::default();
        let [a, b, authority] = ["a", "b", "authority"].map(|name| Fingerprint::of(name.as_bytes()));
        let mut first = living.enter(vec![a, authority]).unwrap();
        let mut second = living.enter(vec![b, authority]).unwrap();
        assert_eq!(living.revoke(BTreeSet::from([a])), 1);
        assert!(first.try_recv().is_ok() && second.try_recv().is_err());
        assert!(living.enter(vec![a]).is_none() && living.is_revoked(a) && !living.is_revoked(b));
        assert_eq!(living.revoke(BTreeSet::from([authority])), 1, "of those that are left");
        assert!(second.try_recv().is_ok());
    }
}
