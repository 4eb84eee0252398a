//! A small disk of its own for a run directory.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Unmounted when dropped.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// In memory, of this size, as `mount` reads it. `None` where this process may not mount, which is said.
    pub fn new(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], path);
        if !mounted {
            println!("NOT TESTED: this user may not mount a small disk");
        }
        mounted.then(|| Self(path.to_owned()))
    }

    /// Leaves no room.
    pub fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[1; 512]).is_ok() {}
    }

    /// Leaves all room again.
    pub fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }

    /// Or to be written again.
    pub fn read_only(&self, yes: bool) {
        assert!(mount(&["-o", if yes { "remount,ro" } else { "remount,rw" }], &self.0));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], path: &Path) -> bool {
    let mut command = Command::new("mount");
    command.args(arguments).arg(path).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
