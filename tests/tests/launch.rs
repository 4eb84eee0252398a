//! What launchers and service managers rely on: variables instead of flags, SIGUSR1, sd_notify.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is all test")]

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;

use lockstep_tests::cluster::{Oracle, Process, RunFile, Site};
use nix::sys::signal::Signal;

fn long() -> RunFile {
    RunFile { epochs: 250, every_steps: 50, heartbeat_ms: 100, ..RunFile::default() }
}

/// The service manager's end of the socket.
struct Manager {
    socket: UnixDatagram,
    heard: String,
}

impl Manager {
    fn new(site: &Site, name: &str) -> Self {
        let socket = UnixDatagram::bind(site.folder().join(name)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, heard: String::new() }
    }

    fn until(&mut self, site: &Site, words: &str, times: usize) {
        let mut buffer = [0; 4096];
        site.until(&format!("{words} is said {times} times"), || {
            while let Ok(bytes) = self.socket.recv(&mut buffer) {
                self.heard.push_str(std::str::from_utf8(&buffer[..bytes]).unwrap());
                self.heard.push('\n');
            }
            (self.heard.matches(words).count() >= times).then_some(())
        });
    }
}

#[test]
fn a_worker_started_by_a_launcher_needs_no_flags() {
    let site = Site::new(&RunFile::default().text());
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut by_rank = site.command(&["worker"]);
    by_rank.envs([
        ("MASTER_ADDR", host.as_str()),
        ("MASTER_PORT", &port),
        ("RANK", "1"),
        ("WORLD_SIZE", "2"),
    ]);
    let mut by_rank = Process::start(by_rank, "by-rank", site.folder());
    let mut by_slurm = site.command(&["worker"]);
    by_slurm.envs([("SLURM_JOB_ID", "41"), ("SLURM_STEP_ID", "0"), ("SLURM_PROCID", "3")]);
    by_slurm.envs([
        ("SLURM_JOB_NODELIST", host.as_str()),
        ("MASTER_PORT", &port),
        ("SLURM_CPUS_PER_TASK", "2"),
    ]);
    let mut by_slurm = Process::start(by_slurm, "by-slurm", site.folder());
    for process in [&mut coordinator, &mut by_rank, &mut by_slurm] {
        site.succeed(process);
    }
    // Workers may be taken one after the other in a run so short: names are checked where they are told.
    let log = site.log();
    assert!(log.contains("worker rank-1 ") || log.contains("worker slurm-41.0-3 "), "{log}");
    Oracle::new(&site).assert_equal(&site);
}

#[test]
fn what_is_said_twice_goes_by_flag_then_variable_then_launcher() {
    let site = Site::new(&RunFile::default().text());
    let (mut coordinator, address) = site.coordinator(None, &[]);
    let mut worker = site.command(&["worker", "--name", "flag"]);
    // Only the variable's address leads anywhere.
    worker.env("LOCKSTEP_COORDINATOR", address.to_string()).env("LOCKSTEP_NAME", "variable");
    worker.envs([("MASTER_ADDR", "192.0.2.1"), ("MASTER_PORT", "9"), ("RANK", "0")]);
    let mut worker = Process::start(worker, "worker", site.folder());
    site.succeed(&mut worker);
    site.succeed(&mut coordinator);
    assert!(site.log().contains("worker flag "), "{}", site.log());

    let mut nowhere = Process::start(site.command(&["worker"]), "nowhere", site.folder());
    assert_eq!(site.end(&mut nowhere).code(), Some(2));
    assert!(nowhere.errors().contains("MASTER_ADDR"), "{}", nowhere.errors());
    let mut wrong = site.command(&["worker"]);
    wrong.envs([("MASTER_ADDR", "h"), ("MASTER_PORT", "http")]);
    let mut wrong = Process::start(wrong, "wrong", site.folder());
    assert_eq!(site.end(&mut wrong).code(), Some(2));
    assert!(wrong.errors().contains("MASTER_PORT"), "{}", wrong.errors());
}

#[test]
fn what_a_launcher_says_besides_does_not_matter() {
    // A Service called "master" in the same namespace, a shell in a job of another size.
    let odd = [
        ("MASTER_PORT", "tcp://10.0.0.1:80"),
        ("RANK", "4"),
        ("WORLD_SIZE", "4"),
        ("SLURM_CPUS_PER_TASK", "many"),
    ];
    let site = Site::new(&RunFile::default().text()).with(&odd.map(|(name, value)| (name, value.to_owned())));
    let (status, train) = site.trained(&["--workers", "2"]);
    assert!(status.success(), "{}{}", train.errors(), site.logs());
    // What a worker has no flag for still counts.
    let mut worker = site.start("worker", &["worker", "--coordinator", "127.0.0.1:1", "--threads", "1"]);
    assert_eq!(site.end(&mut worker).code(), Some(2));
    assert!(worker.errors().contains("WORLD_SIZE"), "{}", worker.errors());
}

/// There is nothing to save yet, and nothing has failed either.
#[test]
fn a_signal_while_data_are_read_is_a_stop_in_order() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1] {
        // Its data are at a server that takes the question and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        silent.set_nonblocking(true).unwrap();
        let url = format!("\"http://{}/rows.csv\"", silent.local_addr().unwrap());
        let text = RunFile::default().text();
        let (_, rest) = text.split_once("train = ").unwrap();
        let train = rest.split(['\n', ',']).next().unwrap();
        let site = Site::new(&text.replace(train, &url));
        let mut train = site.train(&["--workers", "1", "--resume"]);
        let _held = site.until("it asks for its data", || {
            assert!(train.ended().is_none(), "{}", train.errors());
            silent.accept().ok()
        });
        train.signal(signal);
        assert_eq!(site.end(&mut train).code(), Some(75), "{}", train.errors());
        assert!(train.errors().contains("--resume"), "{}", train.errors());
    }
}

#[test]
fn usr1_is_a_stop_in_order_and_the_service_manager_hears_of_it() {
    let site = Site::new(&long().text());
    let mut manager = Manager::new(&site, "coordinator.sock");
    let mut command =
        site.command(&["coordinator", "run.toml", "--run-dir", "run", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", site.folder().join("coordinator.sock")).env("WATCHDOG_USEC", "300000");
    let mut coordinator = Process::start(command, "coordinator", site.folder());
    manager.until(&site, "READY=1", 1);
    let address = manager.heard.split_once("listening on ").unwrap().1.lines().next().unwrap().to_owned();

    let mut workers = Manager::new(&site, "worker.sock");
    let mut command = site.worker_command("one", address.parse().unwrap(), &[]);
    command.env("NOTIFY_SOCKET", site.folder().join("worker.sock")).env("WATCHDOG_USEC", "300000");
    let mut worker = Process::start(command, "worker", site.folder());
    workers.until(&site, "READY=1", 1);
    manager.until(&site, "WATCHDOG=1", 3);
    workers.until(&site, "WATCHDOG=1", 3);

    // A worker on its way out does not end the run.
    worker.signal(Signal::SIGUSR1);
    workers.until(&site, "STOPPING=1", 1);
    assert_eq!(site.end(&mut worker).code(), Some(75), "{}", worker.errors());
    let mut other = site.worker("other", address.parse().unwrap(), &[]);
    let step = site.step();
    site.until_step(step + 20);
    coordinator.signal(Signal::SIGUSR1);
    coordinator.signal(Signal::SIGUSR1);
    assert_eq!(site.end(&mut coordinator).code(), Some(75), "{}", site.logs());
    assert_eq!(site.end(&mut other).code(), Some(75), "{}", other.errors());
    manager.until(&site, "STOPPING=1", 1);

    let (status, _) = site.trained(&["--resume", "--workers", "1"]);
    assert!(status.success(), "{}", site.logs());
    Oracle::new(&site).assert_equal(&site);
}
