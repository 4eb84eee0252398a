//! A folder in which a run's processes are started.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use lockstep_coordinator::store::Results;
use serde_json::Value;
use tempfile::TempDir;

use super::process::Process;
use super::{lockstep, wait};

/// A folder with a run file. Drop processes before it.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Site {
    /// With this run file.
    pub fn new(run: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("lockstep-test-").tempdir().unwrap();
        let site = Self { folder, variables: Vec::new() };
        site.write("run.toml", run);
        site
    }

    /// With these variables in the environment of all its processes.
    pub fn with(self, variables: &[(&'static str, String)]) -> Self {
        Self { variables: [&self.variables, variables].concat(), ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.folder().join(name), content).unwrap();
    }

    /// The run file.
    pub fn run_file(&self) -> PathBuf {
        self.folder().join("run.toml")
    }

    /// The run directory.
    pub fn run_dir(&self) -> PathBuf {
        self.folder().join("run")
    }

    /// The command with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(lockstep());
        command.args(arguments).current_dir(self.folder()).env("LOCKSTEP_CACHE", self.folder().join("cache"));
        command.envs(self.variables.iter().cloned());
        command
    }

    /// Starts the command; `name` names its logs.
    pub fn start(&self, name: &str, arguments: &[&str]) -> Process {
        Process::start(self.command(arguments), name, self.folder())
    }

    /// Starts `lockstep train` on the run file.
    pub fn train(&self, arguments: &[&str]) -> Process {
        self.start("train", &[&["train", "run.toml", "--run-dir", "run"], arguments].concat())
    }

    /// Runs `lockstep train` to its end.
    pub fn trained(&self, arguments: &[&str]) -> (ExitStatus, Process) {
        let mut train = self.train(arguments);
        (self.end(&mut train), train)
    }

    /// Starts `lockstep coordinator` on a free port, or on the given one again.
    pub fn coordinator(&self, listen: Option<SocketAddr>, arguments: &[&str]) -> (Process, SocketAddr) {
        let listen = listen.map_or_else(|| "127.0.0.1:0".to_owned(), |address| address.to_string());
        let fixed = ["coordinator", "run.toml", "--run-dir", "run", "--listen", &listen];
        let mut process = self.start("coordinator", &[&fixed, arguments].concat());
        let address = self.until("the coordinator listens", || {
            let errors = process.errors();
            assert!(process.ended().is_none(), "the coordinator has ended: {errors}");
            let (_, rest) = errors.split_once("listening on ")?;
            rest.split_once(';')?.0.parse().ok()
        });
        (process, address)
    }

    /// Starts a worker.
    pub fn worker(&self, name: &str, coordinator: SocketAddr, arguments: &[&str]) -> Process {
        Process::start(self.worker_command(name, coordinator, arguments), name, self.folder())
    }

    /// The command of a worker, to be changed.
    pub fn worker_command(&self, name: &str, coordinator: SocketAddr, arguments: &[&str]) -> Command {
        let coordinator = coordinator.to_string();
        self.command(&[&["worker", "--coordinator", &coordinator, "--name", name], arguments].concat())
    }

    /// Waits until a process ends.
    pub fn end(&self, process: &mut Process) -> ExitStatus {
        self.until("a process ends", || process.ended())
    }

    /// Waits until a process ends well.
    pub fn succeed(&self, process: &mut Process) {
        let status = self.end(process);
        assert!(status.success(), "{status}\n{}", self.logs());
    }

    /// Waits until something is there.
    pub fn until<T>(&self, what: &str, done: impl FnMut() -> Option<T>) -> T {
        wait::until(what, self.folder(), done)
    }

    /// Waits until the run's log has this text so many times.
    pub fn until_logged(&self, text: &str, times: usize) {
        self.until(&format!("the log says {times} times {text:?}"), || {
            (self.log().matches(text).count() >= times).then_some(())
        });
    }

    /// Waits until so many steps are done, as far as metrics tell.
    pub fn until_step(&self, step: u64) {
        self.until(&format!("step {step} is done"), || (self.step() >= step).then_some(()));
    }

    /// The newest step in the metrics.
    pub fn step(&self) -> u64 {
        let path = self.run_dir().join("metrics.jsonl");
        let text = File::open(path).and_then(|mut file| {
            let length = file.seek(SeekFrom::End(0))?;
            file.seek(SeekFrom::Start(length.saturating_sub(LAST_LINES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        });
        lines(&text.unwrap_or_default()).filter_map(|line| line.get("step")?.as_u64()).max().unwrap_or(0)
    }

    /// The lines of metrics that are whole.
    pub fn metrics(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.run_dir().join("metrics.jsonl")).unwrap_or_default();
        lines(&text).collect()
    }

    /// The run's log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.run_dir().join("lockstep.log")).unwrap_or_default()
    }

    /// The ends of all logs, for a failure's message.
    pub fn logs(&self) -> String {
        wait::logs(self.folder())
    }

    /// The end of the run.
    pub fn results(&self) -> Results {
        let path = self.run_dir().join("results.json");
        let text =
            fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}\n{}", path.display(), self.logs()));
        serde_json::from_slice(&text).unwrap()
    }
}

/// Bytes at the end of a file in which its last lines are.
const LAST_LINES: u64 = 4096;

fn lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}
