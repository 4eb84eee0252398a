//! Where what is made of files may be kept.

use std::env;
use std::path::PathBuf;

/// The folder for what can be made again: `LOCKSTEP_CACHE`, else `lockstep` in `XDG_CACHE_HOME`, else
/// `~/.cache/lockstep`, else the system's folder for temporary files. It need not be there yet.
pub fn cache_folder() -> PathBuf {
    choose(|name| env::var_os(name).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty()))
}

/// Other programs' folders count only if they are absolute, as the XDG specification has it.
fn choose(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    variable("LOCKSTEP_CACHE")
        .or_else(|| Some(absolute("XDG_CACHE_HOME")?.join("lockstep")))
        .or_else(|| Some(absolute("HOME")?.join(".cache/lockstep")))
        .unwrap_or_else(env::temp_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_set() {
        let with = |set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, path)| path.into());
            choose(find).display().to_string()
        };
        let all = [("LOCKSTEP_CACHE", "here"), ("XDG_CACHE_HOME", "/xdg"), ("HOME", "/home/a")];
        assert_eq!(with(&all), "here");
        assert_eq!(with(&all[1..]), "/xdg/lockstep");
        assert_eq!(with(&[("XDG_CACHE_HOME", "relative"), all[2]]), "/home/a/.cache/lockstep");
        assert_eq!(with(&[]), env::temp_dir().display().to_string());
    }
}
