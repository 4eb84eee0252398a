//! The coordinator is killed again and again, most often while it writes a checkpoint.
//!
//! Each phase leaves the run directory in a state that can be seen. The coordinator is stopped when the
//! wanted one is seen, looked at again, and killed: what it died in is then certain.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cluster::{Moments, Oracle, RunFile, Site};

/// How far the writing of a checkpoint is, by the files that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing is being written.
    None,
    /// The folder is there, the model is not.
    Folder,
    /// The model is there, whole or in part.
    Model,
    /// And the optimizer.
    Optimizer,
    /// And the state.
    State,
    /// And the manifest; all is read back, and the line of the chain written.
    Manifest,
    /// It has its name, and an old one is to be removed.
    Placed,
}

/// Those that are waited for.
pub const PHASES: [Phase; 6] =
    [Phase::Folder, Phase::Model, Phase::Optimizer, Phase::State, Phase::Manifest, Phase::Placed];

/// A phase that is so short that it is not seen in this time is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Checkpoints that stay, by default.
const KEEP: usize = 3;

/// In which phase it died how often; and the digest was right.
#[derive(Debug)]
pub struct Report {
    /// How often each.
    pub phases: BTreeMap<Phase, u64>,
    steps: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phases: Vec<String> =
            self.phases.iter().map(|(phase, count)| format!("{count} {phase:?}")).collect();
        let kills: u64 = self.phases.values().sum();
        write!(f, "{} steps, {kills} coordinators killed: {}; digest equal", self.steps, phases.join(", "))
    }
}

/// What can be seen of a checkpoint that is being written.
fn phase(run: &Path) -> Phase {
    let (mut writing, mut placed) = (None, 0);
    for entry in fs::read_dir(run).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".checkpoint-") && name.ends_with(".tmp") {
            writing = Some(entry.path());
        }
        placed += usize::from(name.starts_with("checkpoint-"));
    }
    let Some(folder) = writing else { return if placed > KEEP { Phase::Placed } else { Phase::None } };
    let order = [
        ("manifest.json", Phase::Manifest),
        ("state.json", Phase::State),
        ("optimizer.safetensors", Phase::Optimizer),
        ("model.safetensors", Phase::Model),
    ];
    let found = order.into_iter().find(|(name, _)| folder.join(name).exists());
    found.map_or(Phase::Folder, |(_, phase)| phase)
}

/// So many kills. Fails if the bits are not those of one process.
pub fn run(mut moments: Moments, kills: usize) -> Report {
    let epochs = 10 + 8 * kills as u32;
    let run =
        RunFile { epochs, every_steps: 4, heartbeat_ms: 2000, layers: RunFile::WIDE, ..RunFile::default() };
    let site = Site::new(&run.text());
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let _workers = ["a", "b"].map(|name| site.worker(name, address, &[]));
    let mut phases = BTreeMap::new();
    for kill in 0..kills {
        let wanted = PHASES[kill % PHASES.len()];
        // One that begins from a checkpoint goes on.
        let step = site.step() + 1 + moments.below(6);
        site.until_step(step);
        let began = Instant::now();
        let died = loop {
            assert!(coordinator.ended().is_none(), "the run ended before its faults\n{}", site.logs());
            let late = began.elapsed() > PATIENCE;
            if !late && phase(&site.run_dir()) != wanted {
                continue;
            }
            coordinator.signal(Signal::SIGSTOP);
            let died = phase(&site.run_dir());
            if died == wanted || late {
                break died;
            }
            coordinator.signal(Signal::SIGCONT);
        };
        coordinator.kill();
        *phases.entry(died).or_insert(0) += 1;
        (coordinator, _) = site.coordinator(Some(address), &["--resume"]);
    }
    site.succeed(&mut coordinator);
    Oracle::new(&site).assert_equal(&site);
    Report { phases, steps: site.results().steps }
}
