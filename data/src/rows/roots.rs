//! What a worker may read by itself: nothing outside of the folders that its command line names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lockstep_core::run::spec::{Data, Source as RunSource, Validation};

use super::blocks::Source;
use super::catalog::Catalog;
use super::files::{Files, Held, Opener};
use crate::load::held;
use crate::places::is_url;
use crate::{FileEntry, reopen};

/// Folders, and beginnings of URLs, whatever a coordinator says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    folders: Vec<PathBuf>,
    urls: Vec<String>,
}

impl Roots {
    /// Of these; a folder that is not there is an error, with its name.
    ///
    /// # Errors
    /// As the system says.
    pub fn new(roots: &[String]) -> Result<Self, (String, std::io::Error)> {
        let (urls, folders): (Vec<_>, Vec<_>) = roots.iter().cloned().partition(|root| is_url(root));
        let canonical = |root: String| fs::canonicalize(&root).map_err(|error| (root, error));
        let slash = |url: String| if url.ends_with('/') { url } else { url + "/" };
        Ok(Self {
            folders: folders.into_iter().map(canonical).collect::<Result<_, _>>()?,
            urls: urls.into_iter().map(slash).collect(),
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.urls.is_empty()
    }

    /// Where a file lies here: where the coordinator has it, or in the same place below a
    /// root as there below `common`, the folder that has all of them, or in a root itself. It has the same length.
    pub(crate) fn place(&self, entry: &FileEntry, common: Option<&Path>) -> Option<String> {
        if is_url(&entry.path) {
            let plain = !entry.path.split('/').any(|part| part == "..");
            let allowed = plain && self.urls.iter().any(|root| entry.path.starts_with(root.as_str()));
            return allowed.then(|| entry.path.clone());
        }
        let path = Path::new(&entry.path);
        let below = path.strip_prefix(common?).ok();
        for root in &self.folders {
            let same = Some(path.to_owned());
            let moved = below.map(|below| root.join(below));
            let alone = path.file_name().map(|name| root.join(name));
            for candidate in [same, moved, alone].into_iter().flatten() {
                // With links and dots resolved: a path may only seem to be below the root.
                let Ok(real) = fs::canonicalize(candidate) else { continue };
                let fits = fs::metadata(&real).is_ok_and(|file| file.is_file() && file.len() == entry.length);
                if fits && real.starts_with(root) {
                    return real.to_str().map(Into::into);
                }
            }
        }
        None
    }
}

impl Catalog {
    /// The files below these roots as sources of the training and of the validation rows; none if a file
    /// is not there.
    pub fn below(&self, roots: &Roots, data: &Data, seed: u64) -> [Option<Box<dyn Source>>; 2] {
        let (trained, out) = held(data, seed);
        let source = |of: &RunSource, files: &[FileEntry], held: Held| -> Option<Box<dyn Source>> {
            let folder = common(files);
            let all_here = files.iter().all(|entry| roots.place(entry, folder.as_deref()).is_some());
            if roots.is_empty() || files.is_empty() || !all_here {
                return None;
            }
            let (of, files, roots, reading) =
                (of.clone(), files.to_vec(), roots.clone(), data.reading.clone());
            let opener: Opener = Box::new(move || {
                Ok(reopen(&files, &of, &reading, &|entry| roots.place(entry, folder.as_deref()))?.into())
            });
            let how = (data.reading.clone(), data.on_bad_row);
            let encoder = Arc::new(self.encoder.clone());
            Some(Box::new(Files::new("the files below --data".into(), encoder, how, held, opener)))
        };
        let train = source(&data.train, &self.train_files, trained);
        let validation = match (&data.validation, out) {
            (Validation::Source(of), _) => source(of, &self.validation_files, Held::All),
            (_, Some(out)) => source(&data.train, &self.train_files, out),
            _ => None,
        };
        [train, validation]
    }

    /// The folders that its files lie in: what a worker of the same machine may read.
    pub fn folders(&self) -> Vec<String> {
        let files = self.train_files.iter().chain(&self.validation_files);
        let folder = |entry: &FileEntry| entry.path.rsplit_once('/').map(|(folder, _)| format!("{folder}/"));
        files.filter_map(folder).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The deepest folder that has all files.
fn common(files: &[FileEntry]) -> Option<PathBuf> {
    let folders = files.iter().map(|entry| Path::new(&entry.path).parent().map(Path::to_owned));
    let both = |a: PathBuf, b: PathBuf| {
        let shared = a.components().zip(b.components()).take_while(|(a, b)| a == b);
        shared.map(|(part, _)| part).collect()
    };
    folders.collect::<Option<Vec<_>>>()?.into_iter().reduce(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> FileEntry {
        FileEntry { path: path.into(), length: 1, modified: None, etag: None, rows: Vec::new(), text: None }
    }

    #[test]
    fn nothing_outside_of_the_roots_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("root/sub")).unwrap();
        fs::create_dir_all(at("other")).unwrap();
        for name in ["root/a.csv", "root/sub/b.csv", "other/secret.csv", "other/a.csv"] {
            fs::write(at(name), "x").unwrap();
        }
        fs::write(at("root/longer.csv"), "xx").unwrap();
        std::os::unix::fs::symlink(at("other/secret.csv"), at("root/link.csv")).unwrap();
        let real = |name: &str| fs::canonicalize(at(name)).unwrap().to_str().map(ToOwned::to_owned);
        let root = at("root").display().to_string();
        let roots = Roots::new(&[root.clone(), "s3://bucket/data".into()]).unwrap();
        let place = |paths: &[&str]| {
            let files: Vec<FileEntry> = paths.iter().map(|path| entry(path)).collect();
            roots.place(&files[0], common(&files).as_deref())
        };
        let other = |name: &str| at("other").join(name).display().to_string();
        assert_eq!(place(&[&format!("{root}/a.csv")]), real("root/a.csv"));
        assert_eq!(place(&["/elsewhere/a.csv"]), real("root/a.csv"));
        assert_eq!(place(&["/elsewhere/sub/b.csv", "/elsewhere/a.csv"]), real("root/sub/b.csv"));
        assert_eq!(place(&[&other("a.csv")]), real("root/a.csv"), "its namesake below the root");
        assert_eq!(place(&[&other("secret.csv")]), None);
        assert_eq!(place(&[&format!("{root}/../other/secret.csv")]), None);
        assert_eq!(place(&["/elsewhere/link.csv"]), None);
        assert_eq!(place(&["/elsewhere/longer.csv"]), None, "of another length");
        assert_eq!(place(&["/elsewhere/sub"]), None);
        assert_eq!(place(&["s3://bucket/data/x.csv"]).as_deref(), Some("s3://bucket/data/x.csv"));
        assert_eq!(place(&["s3://bucket/database/x.csv"]), None);
        assert_eq!(place(&["s3://bucket/data/../x.csv"]), None);
        assert_eq!(
            Roots::new(&[at("none").display().to_string()]).unwrap_err().0,
            at("none").display().to_string()
        );
    }
}
