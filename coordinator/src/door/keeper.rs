//! What the files of the door say, as rustls wants it; they are read again while the run goes on.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use lockstep_proto::tls::{FileError, Fingerprint, Identity, Token, authorities, door, shared_provider};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::Teller;
use super::clients::Known;
use super::living::Living;
use crate::notice::Notice;

/// Certificates that are not taken any more, a fingerprint a line.
const REVOKED: &str = "revoked";

/// Files that are looked at again.
const FILES: [&str; 3] = ["ca.crt", "tls.crt", "tls.key"];

/// Who is asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clients {
    /// Whoever comes has one.
    Certified,
    /// A token is asked for. Whoever has a certificate all the same is checked as well as by it alone.
    Anyone,
}

/// Holds the keys.
#[derive(Debug)]
pub(super) struct Keeper {
    folder: PathBuf,
    clients: Clients,
    pub(super) token: Option<Token>,
    pub(super) living: Arc<Living>,
    config: Mutex<Arc<ServerConfig>>,
}

impl Keeper {
    pub(super) fn new(folder: &Path, clients: Clients, token: Option<Token>) -> Result<Self, FileError> {
        let living = Arc::new(Living::default());
        living.revoke(revoked(folder)?);
        let config = Mutex::new(Arc::new(config(folder, clients, &living)?));
        Ok(Self { folder: folder.to_owned(), clients, token, living, config })
    }

    /// As the files were read last.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again when they have changed, until the run ends. A file that cannot be used
    /// changes nothing, and is told once.
    pub(super) async fn renew(self: Arc<Self>, teller: Teller, beat: Duration) {
        let (mut seen, mut trouble) = (self.stamps(), None);
        loop {
            tokio::select! {
                () = tokio::time::sleep(beat) => {}
                () = teller.ended() => return,
            }
            let keeper = self.clone();
            let before = seen.clone();
            let looked = tokio::task::spawn_blocking(move || keeper.look(&before));
            let Ok((stamps, looked)) = looked.await else { return };
            let notice = match looked {
                Ok(notice) => {
                    (seen, trouble) = (stamps, None);
                    notice
                }
                Err(error) if trouble.as_ref() != Some(&error) => {
                    let notice = Notice::Door(format!("{error}; what was read before stays in force"));
                    trouble = Some(error);
                    Some(notice)
                }
                Err(_) => None,
            };
            if let Some(notice) = notice
                && !teller.tell(notice).await
            {
                return;
            }
        }
    }

    fn look(&self, before: &[Option<Stamp>]) -> (Vec<Option<Stamp>>, Result<Option<Notice>, FileError>) {
        let stamps = self.stamps();
        let looked = || {
            let ended = self.living.revoke(revoked(&self.folder)?);
            let mut notices = Vec::new();
            if ended > 0 {
                notices.push(format!("a certificate was revoked: {ended} of its connections are ended"));
            }
            if stamps != before {
                let config = config(&self.folder, self.clients, &self.living)?;
                *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                notices.push(format!("the certificates in {} were read again", self.folder.display()));
            }
            Ok((!notices.is_empty()).then(|| Notice::Door(notices.join("; "))))
        };
        let looked = looked();
        (stamps, looked)
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        FILES.iter().map(|name| Stamp::of(&self.folder.join(name))).collect()
    }
}

/// By which a changed file is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(u64, Option<SystemTime>);

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self(file.len(), file.modified().ok()))
    }
}

/// What is revoked; nothing if there is no file.
fn revoked(folder: &Path) -> Result<BTreeSet<Fingerprint>, FileError> {
    let path = folder.join(REVOKED);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        text => text.map_err(|error| FileError::new(&path, format!("cannot be read: {error}")))?,
    };
    let lines = text.lines().enumerate().filter_map(|(number, line)| {
        let entry = line.split('#').next().unwrap_or_default().trim();
        (!entry.is_empty()).then_some((number, entry))
    });
    let parsed = lines.map(|(number, entry)| {
        entry.parse().map_err(|why| FileError::new(&path, format!("line {}: {why}", number + 1)))
    });
    parsed.collect()
}

fn config(folder: &Path, clients: Clients, living: &Arc<Living>) -> Result<ServerConfig, FileError> {
    let crt = folder.join("tls.crt");
    let identity = Identity::read(folder)?;
    let own = &identity.own;
    if !own.coordinator {
        let why = "is not a coordinator's certificate: it does not name the extended key usage serverAuth; \
                   `lockstep certs init` makes one, cert-manager with usages: [server auth]";
        return Err(FileError::new(&crt, why));
    }
    if !own.is_current() {
        return Err(FileError::new(&crt, format!("is {} and not now: make a new one", own.dates())));
    }
    let roots =
        authorities(&identity.authorities).map_err(|why| FileError::new(&folder.join("ca.crt"), why))?;
    let authority = identity.authorities.first().cloned();
    let (mut chain, key) = identity.into_parts();
    let provider = shared_provider();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| FileError::new(&crt, error))?;
    let clients_chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let clients_chain = match clients {
        Clients::Certified => clients_chain,
        Clients::Anyone => {
            // Workers know the authority by its fingerprint, and do not have it.
            chain.extend(authority);
            clients_chain.allow_unauthenticated()
        }
    };
    let clients_chain =
        clients_chain.build().map_err(|error| FileError::new(&folder.join("ca.crt"), error))?;
    let verifier = Known { chain: clients_chain, living: living.clone() };
    let mut config = builder
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(chain, key)
        .map_err(|error| FileError::new(&folder.join("tls.key"), format!("does not fit tls.crt: {error}")))?;
    config.alpn_protocols = vec![door::ALPN.to_vec()];
    // A session that is taken up again would not be asked for its certificate.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
