//! Which objects a URL means: one, those under it if it ends in `/`, or those that a pattern finds.

use std::collections::BTreeMap;

use glob::{MatchOptions, Pattern};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use tokio_stream::StreamExt;

use super::store::{store, wait};
use super::url::{Kind, Url};
use super::{Found, failure};
use crate::{DataError, Wrong};

/// More in one listing are a slip of the pen.
const MOST: usize = 1_000_000;

/// The objects that these names mean, in the order of the bytes of their keys; `wanted` tells which of a
/// folder's are data.
///
/// # Errors
/// There are none, or they cannot be listed.
pub(in crate::places) fn list(
    text: &str,
    names: &[String],
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<Found>, DataError> {
    let mut found = BTreeMap::new();
    let mut add = |url: Url, meta| found.insert(url.key.clone(), Found { url, meta });
    let mut nothing = "";
    for name in names {
        let url = Url::parse(name)?;
        let special = url.key.find(['*', '?', '[']);
        if special.is_none() && !url.key.is_empty() && !url.key.ends_with('/') {
            // Opening it says whether it is there.
            add(url, None);
            continue;
        }
        let literal = url.key.get(..special.unwrap_or(url.key.len())).unwrap_or_default();
        let folder = literal.rsplit_once('/').map_or("", |(folder, _)| folder);
        let pattern = match special {
            None => None,
            Some(_) => {
                let pattern = Pattern::new(&url.key);
                Some(pattern.map_err(|error| DataError::whole(name, Wrong::Pattern(error.to_string())))?)
            }
        };
        let options = MatchOptions {
            require_literal_separator: true,
            require_literal_leading_dot: true,
            ..MatchOptions::new()
        };
        for meta in under(&url.with_key(folder)?)? {
            let key = meta.location.to_string();
            let taken = match &pattern {
                Some(pattern) => pattern.matches_with(&key, options),
                None => is_data(key.get(folder.len()..).unwrap_or(&key), wanted),
            };
            if taken {
                add(url.with_key(&key)?, Some(meta));
            }
        }
        if pattern.is_none() {
            nothing = ": no files of a known extension";
        }
    }
    match found.is_empty() {
        true => Err(DataError::whole(text, Wrong::NoMatch(nothing))),
        false => Ok(found.into_values().collect()),
    }
}

/// In a folder, what begins with a dot or an underscore is not data.
fn is_data(key: &str, wanted: &dyn Fn(&str) -> bool) -> bool {
    let mut parts = key.split('/').filter(|part| !part.is_empty());
    parts.all(|part| !part.starts_with(['.', '_'])) && wanted(key.rsplit('/').next().unwrap_or(key))
}

/// All objects below a folder.
fn under(folder: &Url) -> Result<Vec<ObjectMeta>, DataError> {
    if folder.kind == Kind::Web {
        let why = "a web server does not list its files; name them, as with part-{00..15}.csv";
        return Err(failure::wrong(folder, why.into()));
    }
    let (store, path) = (store(folder)?, folder.path.clone());
    let listed = wait(async move { all(&*store, &path).await });
    listed.map_err(|error| match failure::no_bucket(&error) {
        true => failure::wrong(folder, failure::bucket(folder)),
        false => failure::explained(folder, &error),
    })
}

async fn all(store: &dyn ObjectStore, folder: &Path) -> object_store::Result<Vec<ObjectMeta>> {
    let mut stream = store.list(Some(folder));
    let mut found = Vec::new();
    while let Some(meta) = stream.next().await {
        found.push(meta?);
        if found.len() > MOST {
            return Err(failure::generic(format!("there are more than {MOST} objects")));
        }
    }
    Ok(found)
}

/// An object that is not there: perhaps another is meant, perhaps its bucket is not there either.
pub(super) fn missing(url: &Url) -> DataError {
    let name = url.key.rsplit('/').next().unwrap_or_default();
    let folder = url.key.strip_suffix(name).unwrap_or_default();
    let beside = match url.kind {
        Kind::Web => Ok(Vec::new()),
        _ => url.with_key(folder).and_then(|folder| beside(&folder)),
    };
    match beside {
        Ok(names) => {
            let nearest = lockstep_core::nearest(name, &names).map(Into::into);
            DataError::whole(url.to_string(), Wrong::NoFile { nearest })
        }
        Err(DataError { what, .. }) => DataError::whole(url.to_string(), what),
    }
}

/// The names in a folder, if they may be listed.
fn beside(folder: &Url) -> Result<Vec<String>, DataError> {
    let store = store(folder)?;
    let path = folder.path.clone();
    match wait(async move { store.list_with_delimiter(Some(&path)).await }) {
        Ok(listed) => {
            Ok(listed.objects.iter().filter_map(|meta| meta.location.filename().map(Into::into)).collect())
        }
        Err(error) if failure::no_bucket(&error) => Err(failure::wrong(folder, failure::bucket(folder))),
        Err(_) => Ok(Vec::new()),
    }
}
