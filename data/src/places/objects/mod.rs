//! Files in object stores and on web servers, read by ranges.
//!
//! ```text
//! URL ──Url::parse──▶ store (one a bucket or host) ──HEAD──▶ Object ──GET range──▶ bytes
//! ```
//!
//! Datasets are read on plain threads, and what is here runs on a small runtime of its own: a thread waits
//! for it on a channel, which is allowed anywhere, inside of another runtime too.

mod failure;
mod list;
mod store;
mod url;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};

use self::store::{store, wait};
use self::url::Url;
use super::{Blob, Stamp};
use crate::DataError;

pub(super) use self::list::list;

/// How often a body that was cut off is asked for.
const ATTEMPTS: u32 = 5;
/// Before the second time; then twice as long each time.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes that are read at once where little is known: a request takes as long as a few MiB.
const WINDOW: u64 = 8 << 20;

/// A file whose URL and nature are known, as by a listing.
#[derive(Clone)]
pub(crate) struct Found {
    url: Url,
    meta: Option<ObjectMeta>,
}

impl Found {
    pub(super) fn name(&self) -> &str {
        self.url.key.rsplit('/').next().unwrap_or_default()
    }
}

/// # Errors
/// It is no URL that can be read here.
pub(super) fn named(url: &str) -> Result<Found, DataError> {
    Ok(Found { url: Url::parse(url)?, meta: None })
}

/// # Errors
/// There is no such object, or it cannot be read.
pub(super) fn open(found: Found) -> Result<(Stamp, Arc<dyn Blob>), DataError> {
    let Found { url, meta } = found;
    let store = store(&url)?;
    let meta = match meta {
        Some(meta) => meta,
        None => {
            let (there, path) = (store.clone(), url.path.clone());
            let head = wait(async move { there.head(&path).await });
            head.map_err(|error| failure::explained(&url, &error))?
        }
    };
    let stamp = Stamp {
        path: url.to_string(),
        length: meta.size,
        modified: meta.last_modified.timestamp_nanos_opt().and_then(|time| u64::try_from(time).ok()),
        etag: meta.e_tag.clone(),
    };
    // A weak tag never matches.
    let etag = meta.e_tag.filter(|tag| !tag.starts_with("W/"));
    let name = url.to_string();
    Ok((stamp, Arc::new(Object { name, url, store, length: meta.size, etag })))
}

/// An object in a store.
struct Object {
    name: String,
    url: Url,
    store: Arc<dyn ObjectStore>,
    length: u64,
    /// Other bytes under the same name would have another.
    etag: Option<String>,
}

impl Blob for Object {
    fn name(&self) -> &str {
        &self.name
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn get(&self, range: Range<u64>) -> Result<Bytes, DataError> {
        let got = self.get_all(vec![range])?;
        Ok(got.into_iter().next().unwrap_or_default())
    }

    fn get_all(&self, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>, DataError> {
        let start = |range| {
            let (store, path, etag) = (self.store.clone(), self.url.path.clone(), self.etag.clone());
            store::start(get(store, path, etag, range))
        };
        // All are on their way before the first is waited for.
        let started: Vec<_> = ranges.into_iter().map(start).collect();
        let explained = |error| failure::explained(&self.url, &error);
        started.into_iter().map(|started| store::finish(started).map_err(explained)).collect()
    }

    fn window(&self) -> u64 {
        WINDOW
    }
}

/// The store itself asks again when a request fails, and for the rest of a body that was cut off if it can
/// tell that it is the same object. Here is what remains: bodies without a tag.
async fn get(
    store: Arc<dyn ObjectStore>,
    path: Path,
    etag: Option<String>,
    range: Range<u64>,
) -> object_store::Result<Bytes> {
    let expected = range.end - range.start;
    let attempts = if etag.is_some() { 1 } else { ATTEMPTS };
    let (mut attempt, mut pause) = (1, PAUSE);
    loop {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            if_match: etag.clone(),
            ..GetOptions::default()
        };
        let body = store.get_opts(&path, options).await?.bytes().await;
        let error = match body {
            Ok(bytes) if bytes.len() as u64 == expected => return Ok(bytes),
            Ok(bytes) => failure::cut_off(bytes.len() as u64, expected),
            Err(error) => error,
        };
        if attempt == attempts {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        (attempt, pause) = (attempt + 1, pause * 2);
    }
}
