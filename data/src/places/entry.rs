//! What is told of a dataset's files, so that others open them without a scan.

use serde::{Deserialize, Serialize};

/// An opened file. It may come from another machine, so nothing in it is believed unseen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The absolute path under which it was opened, or its URL.
    pub path: String,
    /// Bytes of the file, as it lies there.
    pub length: u64,
    /// When it was last changed, in nanoseconds since 1970, where that is known.
    pub modified: Option<u64>,
    /// An object store's name for its bytes.
    #[serde(default)]
    pub etag: Option<String>,
    /// Rows of each of its blocks.
    pub rows: Vec<u64>,
    /// What was found by going through it, if it is text.
    pub text: Option<TextEntry>,
}

/// What a scan of a text file finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextEntry {
    /// The columns.
    pub names: Vec<String>,
    /// The byte, of the inflated text, at which each block starts.
    pub starts: Vec<u64>,
}
