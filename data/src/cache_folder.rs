//! Where a user's caches are.

use std::path::PathBuf;

/// `LOCKSTEP_CACHE`, else `lockstep` in `XDG_CACHE_HOME` or `~/.cache`, else in the folder for temporary
/// files.
pub fn cache_folder() -> PathBuf {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache")));
    of("LOCKSTEP_CACHE").unwrap_or_else(|| user().unwrap_or_else(std::env::temp_dir).join("lockstep"))
}
