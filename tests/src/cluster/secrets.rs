//! What must stand nowhere.

use std::fs;
use std::path::Path;

/// Fails if a secret stands in any file of a folder, but for these files and folders.
pub fn secrets_are_nowhere(folder: &Path, secrets: &[&str], but: &[&Path]) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if but.contains(&path.as_path()) {
            continue;
        }
        if path.is_dir() {
            secrets_are_nowhere(&path, secrets, but);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a secret stands in {}", path.display());
        }
    }
}
