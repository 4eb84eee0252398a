//! A file or an object, before it is opened.

use std::path::{Path, PathBuf};

use crate::DataError;

/// Where a file lies.
#[derive(Clone)]
pub(crate) enum Location {
    /// On this machine.
    File(PathBuf),
    /// Behind a URL.
    #[cfg(feature = "objects")]
    Object(super::objects::Found),
}

impl Location {
    /// Of a path, which may start at `base`, or a URL, which does not.
    ///
    /// # Errors
    /// A URL that cannot be read here.
    pub(crate) fn of(text: &str, base: &Path) -> Result<Self, DataError> {
        if !is_url(text) {
            return Ok(Self::File(base.join(text)));
        }
        #[cfg(feature = "objects")]
        return super::objects::named(text).map(Self::Object);
        #[cfg(not(feature = "objects"))]
        Err(unable(text))
    }

    /// The last part of its name, which has the extension.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            #[cfg(feature = "objects")]
            Self::Object(found) => found.name().to_owned(),
        }
    }
}

/// Whether this is a URL and not a path.
pub(crate) fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// As messages name a path or URL.
pub(crate) fn shown(text: &str, base: &Path) -> String {
    if is_url(text) { text.into() } else { base.join(text).display().to_string() }
}

/// What URLs with patterns mean, by a listing.
#[cfg(feature = "objects")]
pub(crate) fn listed(
    text: &str,
    names: &[String],
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<Location>, DataError> {
    let found = super::objects::list(text, names, wanted)?;
    Ok(found.into_iter().map(Location::Object).collect())
}

#[cfg(not(feature = "objects"))]
pub(crate) fn listed(
    text: &str,
    _names: &[String],
    _wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<Location>, DataError> {
    Err(unable(text))
}

#[cfg(not(feature = "objects"))]
fn unable(text: &str) -> DataError {
    DataError::whole(text, crate::Wrong::Url("this program was built without the feature \"objects\"".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls() {
        assert!(is_url("gs://a") && is_url("ftp://a") && is_url("https://a/b"));
        assert!(!is_url("gs:/a") && !is_url("data/s3://a") && !is_url("c://a") && !is_url("a.csv"));
        assert_eq!(shown("s3://a/b", Path::new("/c")), "s3://a/b");
        assert_eq!(shown("b", Path::new("/c")), "/c/b");
    }
}
