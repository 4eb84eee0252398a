//! A store for each bucket or host, and the runtime that talks to them.

use std::collections::BTreeMap;
use std::env;
use std::future::Future;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use tokio::runtime::{Builder, Runtime};

use super::failure;
use super::url::{Kind, Url};
use crate::DataError;

const CONNECT: Duration = Duration::from_secs(5);
/// Without a byte: a whole answer may take as long as it is large.
const SILENCE: Duration = Duration::from_secs(20);

/// How requests that fail are repeated: with the pauses doubled, about six seconds in all.
fn retry() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(3),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: 6, retry_timeout: Duration::from_secs(120) }
}

/// The store of a URL's bucket or host; connections are shared by all that is read from it.
pub(super) fn store(url: &Url) -> Result<Arc<dyn ObjectStore>, DataError> {
    static STORES: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>> = Mutex::new(BTreeMap::new());
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = stores.get(&url.root()) {
        return Ok(known.clone());
    }
    let built = build(url, &mut env::vars()).map_err(|error| failure::configuration(url, &error))?;
    stores.insert(url.root(), built.clone());
    Ok(built)
}

/// By the variables of each provider's own tools, as `AWS_ENDPOINT_URL` and `AWS_ALLOW_HTTP`.
fn build(
    url: &Url,
    variables: &mut dyn Iterator<Item = (String, String)>,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    // Needed once before the first client; another part of the program may have done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        ClientOptions::new().with_timeout_disabled().with_connect_timeout(CONNECT).with_read_timeout(SILENCE);
    macro_rules! built {
        ($builder:ty, $prefix:literal) => {{
            let builder =
                <$builder>::new().with_client_options(client).with_retry(retry()).with_url(url.root());
            let set = variables.filter(|(name, _)| name.starts_with($prefix));
            let builder =
                set.fold(builder, |builder, (name, value)| match name.to_ascii_lowercase().parse() {
                    Ok(key) => builder.with_config(key, value),
                    Err(_) => builder,
                });
            Arc::new(builder.build()?)
        }};
    }
    Ok(match url.kind {
        Kind::S3 => built!(AmazonS3Builder, "AWS_"),
        Kind::Google => built!(GoogleCloudStorageBuilder, "GOOGLE_"),
        Kind::Azure => built!(MicrosoftAzureBuilder, "AZURE_"),
        Kind::Web => {
            let client = client.with_allow_http(true);
            Arc::new(
                HttpBuilder::new()
                    .with_url(url.root())
                    .with_client_options(client)
                    .with_retry(retry())
                    .build()?,
            )
        }
    })
}

/// Begins something on the runtime.
pub(super) fn start<T: Send + 'static>(
    task: impl Future<Output = object_store::Result<T>> + Send + 'static,
) -> Receiver<object_store::Result<T>> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(2).thread_name("lockstep-objects").enable_all().build()
    });
    let (send, receive) = channel();
    match runtime {
        Ok(runtime) => drop(runtime.spawn(async move {
            // Nobody may wait for it any more.
            let _ = send.send(task.await);
        })),
        Err(error) => {
            let _ = send.send(Err(failure::generic(error.to_string())));
        }
    }
    receive
}

/// Waits for what was begun.
pub(super) fn finish<T>(started: Receiver<object_store::Result<T>>) -> object_store::Result<T> {
    started.recv().unwrap_or_else(|_| Err(failure::generic("its client has given up".into())))
}

pub(super) fn wait<T: Send + 'static>(
    task: impl Future<Output = object_store::Result<T>> + Send + 'static,
) -> object_store::Result<T> {
    finish(start(task))
}
