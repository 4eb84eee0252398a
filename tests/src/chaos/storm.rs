//! Three workers, each behind a link of its own, a spare and a coordinator, and faults in a drawn order.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::cluster::{Disk, Moments, Oracle, Process, Proxy, RunFile, Site};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL to a worker; another takes its place.
    KillWorker,
    /// SIGSTOP to a worker until it is missed, then SIGCONT.
    FreezeWorker,
    /// SIGSTOP to a worker for a moment.
    PauseWorker,
    /// A worker more; the one before it is asked to end.
    Join,
    /// SIGKILL to the coordinator, and a resume.
    KillCoordinator,
    /// SIGSTOP and SIGCONT.
    PauseCoordinator,
    /// A worker's connections are closed.
    Cut,
    /// Nothing passes on them, and nobody is told.
    Silence,
    /// They pass little.
    Throttle,
    /// No room for checkpoints, on a disk of its own; where this user may mount one.
    FullDisk,
}

/// All but the first.
const OTHERS: [Fault; 9] = [
    Fault::FreezeWorker,
    Fault::PauseWorker,
    Fault::Join,
    Fault::KillCoordinator,
    Fault::PauseCoordinator,
    Fault::Cut,
    Fault::Silence,
    Fault::Throttle,
    Fault::FullDisk,
];

/// What is said of a checkpoint that met a full disk.
const FAILED: &str = "could not be written";

/// Workers that are always there.
const WORKERS: usize = 3;

/// What was done, and that the digest was right.
#[derive(Debug)]
pub struct Report {
    /// How often each fault fell.
    pub faults: BTreeMap<Fault, u64>,
    steps: u64,
    joined: u64,
    lost: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> =
            self.faults.iter().map(|(fault, count)| format!("{count} {fault:?}")).collect();
        let Self { steps, joined, lost, .. } = self;
        write!(f, "{steps} steps, {joined} workers joined, {lost} lost; {}; digest equal", faults.join(", "))
    }
}

struct Storm {
    site: Site,
    moments: Moments,
    disk: Option<Disk>,
    coordinator: Process,
    address: SocketAddr,
    workers: Vec<Worker>,
    spare: Option<Process>,
    named: u64,
    /// The length of the log when the coordinator last began.
    began: usize,
}

struct Worker {
    name: String,
    process: Process,
    link: Proxy,
}

/// So many kills of workers, and so many of each other fault. Fails if the bits are not those of one process.
pub fn run(mut moments: Moments, kills: u64, others: u64) -> Report {
    let count = |fault: &Fault| if *fault == Fault::KillWorker { kills } else { others };
    let mut schedule: Vec<Fault> = Vec::new();
    for fault in [&[Fault::KillWorker], &OTHERS[..]].concat() {
        schedule.extend((0..count(&fault)).map(|_| fault));
    }
    for last in (1..schedule.len()).rev() {
        schedule.swap(last, moments.below(last as u64 + 1) as usize);
    }
    // Long enough that the last fault meets it at work.
    let epochs = 20 + 5 * schedule.len() as u32;
    let run =
        RunFile { epochs, every_steps: 10, heartbeat_ms: 100, layers: RunFile::WIDE, ..RunFile::default() };
    let mut storm = Storm::new(&run, moments);
    let mut faults = BTreeMap::new();
    for fault in schedule {
        let step = storm.site.step() + storm.moments.below(6);
        storm.until("a fault's step is done", |site| site.step() >= step);
        storm.moments.pause(Duration::from_millis(5));
        if storm.strike(fault) {
            *faults.entry(fault).or_insert(0) += 1;
        }
    }
    storm.end(faults)
}

impl Storm {
    fn new(run: &RunFile, moments: Moments) -> Self {
        let site = Site::new(&run.text());
        let disk = Disk::new(&site.run_dir(), "32m");
        let (coordinator, address) = site.coordinator(None, &["--resume"]);
        let mut storm = Self {
            site,
            moments,
            disk,
            coordinator,
            address,
            workers: Vec::new(),
            spare: None,
            named: 0,
            began: 0,
        };
        for _ in 0..WORKERS {
            let worker = storm.worker();
            storm.workers.push(worker);
        }
        storm
    }

    /// Waits as long as the run goes on.
    fn until(&mut self, what: &str, done: impl Fn(&Site) -> bool) {
        let Self { site, coordinator, .. } = self;
        site.until(what, || {
            let ended = coordinator.ended();
            assert!(ended.is_none(), "the run ended before {what}: {ended:?}\n{}", site.logs());
            done(site).then_some(())
        });
    }

    fn until_logged(&mut self, text: &str, times: usize) {
        self.until(&format!("{times} times {text:?}"), |site| site.log().matches(text).count() >= times);
    }

    fn name(&mut self) -> String {
        self.named += 1;
        format!("w{}", self.named)
    }

    fn worker(&mut self) -> Worker {
        let (name, link) = (self.name(), Proxy::new(self.address));
        let process = self.site.worker(&name, link.address(), &[]);
        Worker { name, process, link }
    }

    /// One that is in the run, as far as the coordinator has said since it began.
    fn some_worker(&mut self) -> usize {
        let some = self.moments.below(WORKERS as u64) as usize;
        let [on, gone] = ["on", "is gone"].map(|what| format!("worker {} {what}", self.workers[some].name));
        let began = self.began;
        self.until(&on.clone(), |site| {
            let log = site.log();
            let last = |text: &str| log.get(began..)?.rfind(text);
            last(&on).is_some_and(|on| last(&gone).is_none_or(|gone| gone < on))
        });
        some
    }

    /// Until the run does without this worker, or has noticed that it came again.
    fn until_missed(&mut self, some: usize, before: usize) {
        self.until_logged(&self.gone(some), before + 1);
    }

    fn gone(&self, some: usize) -> String {
        format!("worker {} is gone", self.workers[some].name)
    }

    fn times_gone(&self, some: usize) -> usize {
        self.site.log().matches(&self.gone(some)).count()
    }

    /// Whether there was something to break.
    fn strike(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::KillWorker => {
                let some = self.some_worker();
                self.workers[some].process.kill();
                self.workers[some] = self.worker();
            }
            Fault::FreezeWorker => {
                let some = self.some_worker();
                let before = self.times_gone(some);
                self.workers[some].process.signal(Signal::SIGSTOP);
                self.until_missed(some, before);
                self.workers[some].process.signal(Signal::SIGCONT);
            }
            Fault::PauseWorker => {
                let some = self.some_worker();
                self.workers[some].process.signal(Signal::SIGSTOP);
                self.moments.pause(Duration::from_millis(200));
                self.workers[some].process.signal(Signal::SIGCONT);
            }
            Fault::Join => {
                if let Some(mut spare) = self.spare.take() {
                    spare.signal(Signal::SIGTERM);
                    let status = self.site.end(&mut spare);
                    assert_eq!(status.code(), Some(75), "{}", spare.errors());
                }
                let name = self.name();
                self.spare = Some(self.site.worker(&name, self.address, &[]));
                self.until_logged(&format!("worker {name} on"), 1);
            }
            Fault::KillCoordinator => {
                self.coordinator.kill();
                self.began = self.site.log().len();
                (self.coordinator, _) = self.site.coordinator(Some(self.address), &["--resume"]);
            }
            Fault::PauseCoordinator => {
                self.coordinator.signal(Signal::SIGSTOP);
                self.moments.pause(Duration::from_millis(600));
                self.coordinator.signal(Signal::SIGCONT);
            }
            Fault::Cut => {
                let some = self.some_worker();
                return self.workers[some].link.cut() > 0;
            }
            Fault::Silence => {
                let some = self.some_worker();
                let before = self.times_gone(some);
                self.workers[some].link.stop(true);
                self.until_missed(some, before);
                self.workers[some].link.stop(false);
            }
            Fault::Throttle => {
                let some = self.some_worker();
                self.workers[some].link.throttle(200_000);
                sleep(Duration::from_millis(100 + self.moments.below(200)));
                self.workers[some].link.throttle(0);
            }
            Fault::FullDisk => {
                let Some(disk) = &self.disk else { return false };
                let failed = self.coordinator.errors().matches(FAILED).count();
                disk.fill();
                let Self { site, coordinator, .. } = self;
                site.until("a checkpoint fails", || {
                    assert!(coordinator.ended().is_none(), "{}", coordinator.errors());
                    (coordinator.errors().matches(FAILED).count() > failed).then_some(())
                });
                disk.make_room();
            }
        }
        true
    }

    fn end(mut self, faults: BTreeMap<Fault, u64>) -> Report {
        self.site.succeed(&mut self.coordinator);
        Oracle::new(&self.site).assert_equal(&self.site);
        let results = self.site.results();
        let (steps, workers) = (results.steps, results.workers);
        Report { faults, steps, joined: workers.joined, lost: workers.lost }
    }
}

/// What must have happened, where `kills` and `others` were asked for.
pub fn complete(report: &Report, kills: u64, others: u64) {
    let of = |fault| report.faults.get(&fault).copied().unwrap_or(0);
    assert_eq!(of(Fault::KillWorker), kills, "{report}");
    for fault in OTHERS.into_iter().filter(|fault| *fault != Fault::FullDisk) {
        // A link may be without connections for a moment.
        let least = if fault == Fault::Cut { others.min(1) } else { others };
        assert!(of(fault) >= least, "{fault:?}: {report}");
    }
}
