//! Which files a path or URL means: a file, a folder, a pattern with `*`, `?`, `[…]`, `{a,b}` or `{00..15}`.
//!
//! Files come in the order of the bytes of their paths, each once, however they were found. In a folder
//! are all files of a known extension, also in folders below, but for those whose name starts with `.` or
//! `_`; a pattern finds the latter.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};
use lockstep_core::run::spec::Format;

use super::by_name;
use crate::places::{Location, is_url, listed};
use crate::{DataError, Wrong};

/// More is a slip of the pen.
const MOST_NAMES: usize = 100_000;
/// Folders in folders; a link may lead in a circle.
const DEEPEST: usize = 32;

/// The files; at least one. A single path that is no pattern may be missing: opening it says so.
pub(crate) fn expand(text: &str, base: &Path, format: Option<Format>) -> Result<Vec<Location>, DataError> {
    let mut found: Vec<Location> = if is_url(text) {
        let mut names = Vec::new();
        braces(text, &mut names).map_err(|why| DataError::whole(text, Wrong::Pattern(why)))?;
        listed(text, &names, &|name| is_data(name, format))?
    } else {
        local(text, base, format)?.into_iter().map(Location::File).collect()
    };
    // Beside tables, pictures illustrate.
    let folder = if is_url(text) { text.ends_with('/') } else { base.join(text).is_dir() };
    let is_table = |location: &Location| by_name(&location.name()) != Some(Format::Images);
    if folder && format.is_none() && found.iter().any(is_table) {
        found.retain(is_table);
    }
    Ok(found)
}

/// Whether a file that is found in a folder is data.
fn is_data(name: &str, format: Option<Format>) -> bool {
    let known = by_name(name);
    match format {
        // Other programs leave files of their own beside pictures.
        Some(Format::Images) => known == format,
        _ => format.is_some() || known.is_some(),
    }
}

fn local(path: &str, base: &Path, format: Option<Format>) -> Result<Vec<PathBuf>, DataError> {
    let whole = base.join(path);
    let mut found = BTreeSet::new();
    if whole.is_dir() {
        walk(&whole, format, DEEPEST, &mut found)?;
        return some(found, &whole, ": no files of a known extension");
    }
    if whole.exists() || !path.contains(['*', '?', '[', '{']) {
        return Ok(vec![whole]);
    }
    let shown = whole.display().to_string();
    let mut names = Vec::new();
    braces(path, &mut names).map_err(|why| DataError::whole(&shown, Wrong::Pattern(why)))?;
    let base = base.to_string_lossy();
    for name in names {
        let pattern = Path::new(&Pattern::escape(&base)).join(&name);
        let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
        let matches = glob::glob_with(&pattern.to_string_lossy(), options)
            .map_err(|error| DataError::whole(&shown, Wrong::Pattern(error.to_string())))?;
        let before = found.len();
        for path in matches {
            let path = path.map_err(|error| io_error(error.path(), error.error()))?;
            if path.is_dir() {
                walk(&path, format, DEEPEST, &mut found)?;
            } else {
                found.insert(in_bytes(path));
            }
        }
        // Each file of a list is expected, what a star finds is not.
        if found.len() == before && !name.contains(['*', '?', '[']) {
            found.insert(in_bytes(PathBuf::from(base.as_ref()).join(name)));
        }
    }
    some(found, &whole, "")
}

type Found = BTreeSet<(Vec<u8>, PathBuf)>;

fn in_bytes(path: PathBuf) -> (Vec<u8>, PathBuf) {
    (path.as_os_str().as_encoded_bytes().to_vec(), path)
}

fn some(found: Found, whole: &Path, why: &'static str) -> Result<Vec<PathBuf>, DataError> {
    if found.is_empty() {
        return Err(DataError::whole(whole.display().to_string(), Wrong::NoMatch(why)));
    }
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn walk(folder: &Path, format: Option<Format>, depth: usize, found: &mut Found) -> Result<(), DataError> {
    let failed = |error| io_error(folder, &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with(['.', '_']) {
            continue;
        }
        if path.is_dir() {
            if depth > 0 {
                walk(&path, format, depth - 1, found)?;
            }
        } else if is_data(&name, format) {
            found.insert(in_bytes(path));
        }
    }
    Ok(())
}

fn io_error(path: &Path, error: &io::Error) -> DataError {
    DataError::whole(path.display().to_string(), Wrong::Io(error.to_string()))
}

/// `a{b,c}{1..2}` is `ab1 ab2 ac1 ac2`; braces that hold neither a comma nor a range stay.
fn braces(text: &str, out: &mut Vec<String>) -> Result<(), String> {
    if out.len() >= MOST_NAMES {
        return Err(format!("more than {MOST_NAMES} names"));
    }
    for (open, _) in text.match_indices('{') {
        let Some((close, parts)) = inside(text, open) else { continue };
        let (head, tail) = (text.get(..open).unwrap_or_default(), text.get(close + 1..).unwrap_or_default());
        let parts = match parts.as_slice() {
            [range] => match numbers(range)? {
                Some(numbers) => numbers,
                None => continue,
            },
            _ => parts.into_iter().map(Into::into).collect(),
        };
        for part in parts {
            braces(&format!("{head}{part}{tail}"), out)?;
        }
        return Ok(());
    }
    out.push(text.into());
    Ok(())
}

/// Where the brace at `open` closes, and what its commas divide.
fn inside(text: &str, open: usize) -> Option<(usize, Vec<&str>)> {
    let (mut depth, mut start, mut parts) = (0u32, open + 1, Vec::new());
    for (at, c) in text.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => {
                parts.push(text.get(start..at)?);
                return Some((at, parts));
            }
            '}' => depth -= 1,
            ',' if depth == 1 => {
                parts.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

/// `0..3`, or `000..015`, which keeps its zeros.
fn numbers(range: &str) -> Result<Option<Vec<String>>, String> {
    let Some((first, last)) = range.split_once("..") else { return Ok(None) };
    let (Ok(from), Ok(to)) = (first.parse::<u32>(), last.parse::<u32>()) else { return Ok(None) };
    if from > to || to - from >= MOST_NAMES as u32 {
        return Err(format!("the range {range} has no numbers, or more than {MOST_NAMES}"));
    }
    let width = if first.starts_with('0') { first.len() } else { 0 };
    Ok(Some((from..=to).map(|number| format!("{number:0width$}")).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_and_ranges() {
        let expanded = |text: &str| {
            let mut out = Vec::new();
            braces(text, &mut out).map(|()| out.join(" "))
        };
        assert_eq!(expanded("plain").unwrap(), "plain");
        assert_eq!(expanded("a{b,c}{1..2}").unwrap(), "ab1 ab2 ac1 ac2");
        assert_eq!(expanded("p-{08..11}.csv").unwrap(), "p-08.csv p-09.csv p-10.csv p-11.csv");
        assert_eq!(expanded("{a,{b,c}d,}").unwrap(), "a bd cd ");
        assert_eq!(expanded("{a}{b,c").unwrap(), "{a}{b,c");
        assert!(expanded("{3..1}").is_err());
        assert!(expanded("{0..9999}{0..9999}").is_err());
    }

    #[test]
    fn files_in_the_order_of_their_bytes() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a-10.csv", "a-2.csv", "sub/x.parquet", "_no.csv", ".no.csv", "read.me"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let names = |path: &str| {
            let found = local(path, folder.path(), None).map_err(|error| error.what)?;
            let short = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
            Ok::<_, Wrong>(found.iter().map(short).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names("").unwrap(), "a-10.csv a-2.csv b.csv sub/x.parquet");
        assert_eq!(names("[ab]*.csv").unwrap(), "a-10.csv a-2.csv b.csv");
        assert_eq!(names("*.csv").unwrap(), "_no.csv a-10.csv a-2.csv b.csv");
        assert_eq!(names("{b,a-2}.csv").unwrap(), "a-2.csv b.csv");
        assert_eq!(names("a-{2..3}.csv").unwrap(), "a-2.csv a-3.csv");
        assert_eq!(names("**/*.parquet").unwrap(), "sub/x.parquet");
        assert_eq!(names("c.csv").unwrap(), "c.csv");
        assert!(matches!(names("c*.csv"), Err(Wrong::NoMatch(_))));
        assert!(matches!(names("a[.csv"), Err(Wrong::Pattern(_))));
    }
}
