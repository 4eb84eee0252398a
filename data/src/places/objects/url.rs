//! What a URL names.

use std::fmt;

use object_store::path::Path;

use crate::{DataError, Wrong};

/// Kinds of places, and how their URLs begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    S3,
    Google,
    Azure,
    Web,
}

const KINDS: [(&str, Kind); 8] = [
    ("s3://", Kind::S3),
    ("s3a://", Kind::S3),
    ("gs://", Kind::Google),
    ("az://", Kind::Azure),
    ("abfs://", Kind::Azure),
    ("abfss://", Kind::Azure),
    ("http://", Kind::Web),
    ("https://", Kind::Web),
];

/// A URL of an object, or of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) kind: Kind,
    /// With the slashes: `s3://`.
    scheme: &'static str,
    /// Bucket, container or host.
    pub(super) authority: String,
    /// As it was written, without the slash before it.
    pub(super) key: String,
    pub(super) path: Path,
}

impl Url {
    /// # Errors
    /// It is none of the kinds above, or holds what no key may have.
    pub(super) fn parse(text: &str) -> Result<Self, DataError> {
        let wrong = |why: String| DataError::whole(text, Wrong::Url(why));
        let known =
            KINDS.iter().find_map(|(scheme, kind)| Some((text.strip_prefix(scheme)?, *scheme, *kind)));
        let (rest, scheme, kind) =
            known.ok_or_else(|| wrong("expected s3://, gs://, az:// or https://".into()))?;
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() {
            return Err(wrong("it names no bucket or host".into()));
        }
        let url =
            Self { kind, scheme, authority: authority.into(), key: String::new(), path: Path::default() };
        url.with_key(key)
    }

    /// Another key in the same place.
    pub(super) fn with_key(&self, key: &str) -> Result<Self, DataError> {
        let url = Self { key: key.into(), ..self.clone() };
        let wrong = |why: String| DataError::whole(url.to_string(), Wrong::Url(why));
        let trimmed = key.trim_matches('/');
        let path = match self.kind {
            // Of a web server, percents mean what they do in a browser.
            Kind::Web if key.contains('?') => return Err(wrong("what follows a ? is not sent".into())),
            Kind::Web => Path::from_url_path(trimmed),
            _ => Path::parse(trimmed),
        };
        let path = path.map_err(|error| wrong(error.to_string()))?;
        Ok(Self { path, ..url })
    }

    /// Where the store begins.
    pub(super) fn root(&self) -> String {
        format!("{}{}", self.scheme, self.authority)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/{}", self.scheme, self.authority, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_keys() {
        let url = Url::parse("s3://bucket/a b/c=1/x.csv").unwrap();
        assert_eq!(
            (url.kind, url.root().as_str(), url.path.as_ref()),
            (Kind::S3, "s3://bucket", "a b/c=1/x.csv")
        );
        assert_eq!(url.to_string(), "s3://bucket/a b/c=1/x.csv");
        let url = Url::parse("http://127.0.0.1:80/a%20b.csv").unwrap();
        assert_eq!((url.kind, url.path.as_ref()), (Kind::Web, "a b.csv"));
        assert_eq!(Url::parse("s3://bucket").unwrap().path.as_ref(), "");
        for bad in ["ftp://a/b", "s3:///b", "https://a/b?c=d", "s3://a/b/../c", "s3://a/b//c"] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }
}
