//! What goes wrong, and when.

use std::time::Duration;

use lockstep_proto::message::{Evaluated, FromWorker, Hello, Ready, Up};

use super::host::{Host, State};
use super::invariants::Verdict;
use super::network::{Link, Plane, ToHub};
use super::world::{Errand, Event, MOST_LIES, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Both streams are lost; both sides find out, sooner or later.
    Cut,
    CutControl,
    CutTensors,
    /// Only the worker finds out; the coordinator misses heartbeats.
    CutUnnoticed,
    /// Shorter than the missed heartbeats that end a session.
    FreezeShort,
    FreezeLong,
    Kill,
    /// The machine is gone: nobody says goodbye.
    PowerOff,
    KillForEver,
    KillAll,
    Join,
    /// A second process under the name of one that lives.
    SameName,
    /// Its work takes very long from now on.
    Slow,
    TenTimesSlower,
    /// Its computing stands still while its heartbeat goes on.
    Hang,
    /// It is asked to end.
    Drain,
    /// Its next gradients hold numbers that are not finite.
    Fever,
    /// A bit of its next gradients is flipped.
    Lie,
    CrashHub,
    PowerOffHub,
    PauseHub,
    Stop,
    DiskFull,
    /// Bad copies go before the next gradients.
    Tamper,
    Replay,
    /// Control messages that make no sense where they are.
    Nonsense,
    /// Hello, Open and Ready again, within a session.
    HelloAgain,
    OpenAgain,
    WrongNumerics,
    WrongProtocol,
}

/// All of them: each must fire in some seed.
pub(super) const ALL: [Fault; 30] = [
    Fault::Cut,
    Fault::CutControl,
    Fault::CutTensors,
    Fault::CutUnnoticed,
    Fault::FreezeShort,
    Fault::FreezeLong,
    Fault::Kill,
    Fault::PowerOff,
    Fault::KillForEver,
    Fault::KillAll,
    Fault::Join,
    Fault::SameName,
    Fault::Slow,
    Fault::TenTimesSlower,
    Fault::Hang,
    Fault::Drain,
    Fault::Fever,
    Fault::Lie,
    Fault::CrashHub,
    Fault::PowerOffHub,
    Fault::PauseHub,
    Fault::Stop,
    Fault::DiskFull,
    Fault::Tamper,
    Fault::Replay,
    Fault::Nonsense,
    Fault::HelloAgain,
    Fault::OpenAgain,
    Fault::WrongNumerics,
    Fault::WrongProtocol,
];

impl World {
    /// Lays out the cluster and what will happen to it. Returns when the last fault begins.
    pub(super) fn plan_faults(&mut self) -> Duration {
        let hosts = self.dice.between(1, 5);
        // Some clusters have more workers than shards, some wait for their first one.
        let late = if self.dice.chance(5) { 70_000 } else { 0 };
        let mut last = Duration::from_millis(late);
        if late > 0 {
            self.tally.count("fault: nobody for a minute");
        }
        if hosts > u64::from(self.case.run.cluster.shards) {
            self.tally.count("fault: more workers than shards");
        }
        for _ in 0..hosts {
            let delay = Duration::from_millis(late) + self.dice.millis(0, 500);
            self.add_host(delay);
        }
        let horizon = 500 + self.case.total_steps * self.dice.between(100, 900);
        for _ in 0..self.dice.between(0, 12) {
            let at = Duration::from_millis(late) + self.dice.millis(0, horizon);
            if let Some(fault) = self.dice.pick(&ALL) {
                last = last.max(at);
                self.at(at, Event::Fault(fault));
            }
        }
        last
    }

    /// Four workers, and one of them lies whenever it computes.
    pub(super) fn plan_liar(&mut self) -> Duration {
        self.invariants.weights.ignored = true;
        for _ in 0..4 {
            let host = self.add_host(Duration::ZERO);
            self.hosts[host].slowness = 5;
        }
        let liar = self.dice.between(0, 3) as usize;
        self.hosts[liar].lies = MOST_LIES as u32;
        Duration::ZERO
    }

    fn add_host(&mut self, delay: Duration) -> usize {
        let host = self.hosts.len();
        let slowness = self.dice.pick(&[1, 5, 40]).unwrap_or(1);
        self.hosts.push(Host::new(&self.case, format!("w{host}"), slowness));
        self.after(delay, Event::Host(host, 0, Errand::Connect));
        host
    }

    /// Somebody is there to end the run.
    pub(super) fn make_peace(&mut self) {
        self.hub.disk_full = false;
        self.hosts.iter_mut().for_each(|host| host.slowness = host.slowness.min(400));
        // Where two have differed, one alone is not believed.
        let opinions = if self.case.run.cluster.audit > 0.0 { 2 } else { 1 };
        let least = self.case.run.cluster.min_workers.max(opinions);
        let works = |host: &&Host| !matches!(host.state, State::Exited) && !host.hung && !host.leaving;
        if least > 1 || !self.hosts.iter().any(|host| works(&host)) {
            for _ in 0..least {
                self.add_host(Duration::ZERO);
            }
        }
    }

    pub(super) fn fault(&mut self, fault: Fault) -> Verdict {
        self.note(format_args!("!! {fault:?}"));
        if self.strike(fault)? {
            self.tally.count(format!("fault: {fault:?}"));
        }
        Ok(())
    }

    /// Whether it found something to break.
    fn strike(&mut self, fault: Fault) -> Result<bool, String> {
        match fault {
            Fault::Cut => return Ok(self.cut(&[Plane::Control, Plane::Tensors], true)),
            Fault::CutControl => return Ok(self.cut(&[Plane::Control], true)),
            Fault::CutTensors => return Ok(self.cut(&[Plane::Tensors], true)),
            Fault::CutUnnoticed => return Ok(self.cut(&[Plane::Control, Plane::Tensors], false)),
            Fault::FreezeShort => return Ok(self.freeze(100, 2500)),
            Fault::FreezeLong => return Ok(self.freeze(3500, 9000)),
            Fault::Kill | Fault::PowerOff | Fault::KillForEver => {
                let Some((host, _)) = self.some_host() else { return Ok(false) };
                self.kill(host, fault);
            }
            Fault::KillAll => {
                if self.hub.cluster.as_ref().is_some_and(|cluster| !cluster.reducer().ledger().untouched()) {
                    self.tally.count("fault: all lost in the middle of a streamed step");
                }
                (0..self.hosts.len()).for_each(|host| self.kill(host, fault));
            }
            Fault::Join => {
                self.add_host(Duration::ZERO);
            }
            Fault::SameName => {
                let Some((host, _)) = self.some_host() else { return Ok(false) };
                let name = self.hosts[host].name.clone();
                let host = self.add_host(Duration::ZERO);
                self.hosts[host].name = name;
            }
            Fault::Slow => {
                let Some((host, _)) = self.some_host() else { return Ok(false) };
                self.hosts[host].slowness = 1000;
            }
            Fault::TenTimesSlower => {
                let Some((host, _)) = self.some_host() else { return Ok(false) };
                self.hosts[host].slowness = (self.hosts[host].slowness * 10).min(1000);
            }
            Fault::Hang => {
                let Some((host, _)) = self.some_host() else { return Ok(false) };
                self.hosts[host].hung = true;
            }
            Fault::Drain => {
                let Some((host, link)) = self.some_host() else { return Ok(false) };
                if !matches!(self.hosts[host].state, State::Inside(..)) {
                    return Ok(false);
                }
                self.hosts[host].leaving = true;
                self.send_up(link, ToHub::Control(FromWorker::Leave));
            }
            Fault::Fever => {
                // Once: a step is given up after a few such answers of its only worker.
                if self.tally.of("fault: Fever") > 0 {
                    return Ok(false);
                }
                let Some((host, _)) = self.some_host() else { return Ok(false) };
                self.hosts[host].feverish = self.dice.between(1, 3) as u32;
            }
            Fault::Lie => {
                // A few times: where two differ and nobody else is here, both come again so often.
                if self.case.run.cluster.audit == 0.0 || self.tally.of("fault: Lie") > 0 {
                    return Ok(false);
                }
                let Some((host, _)) = self.some_host() else { return Ok(false) };
                self.hosts[host].lies = self.dice.between(1, 3) as u32;
            }
            Fault::CrashHub | Fault::PowerOffHub => return Ok(self.crash_hub(fault)),
            Fault::PauseHub if self.hub.cluster.is_none() || self.hub.paused.is_some() => return Ok(false),
            Fault::PauseHub => {
                let pause = self.dice.millis(500, 6000);
                self.pause_hub(pause);
            }
            Fault::Stop if self.hub.cluster.is_none() || self.hub.paused.is_some() => return Ok(false),
            Fault::Stop => self.stop_hub()?,
            Fault::DiskFull => self.hub.disk_full = true,
            Fault::Tamper => self.tamper = 6,
            Fault::Replay => return self.replay(),
            Fault::Nonsense => return Ok(self.nonsense()),
            Fault::HelloAgain => {
                let Some((host, link)) = self.some_host() else { return Ok(false) };
                let name = if self.dice.chance(50) { self.hosts[host].name.clone() } else { "other".into() };
                let numerics = "virtual/none/1".into();
                let protocol = lockstep_proto::PROTOCOL;
                let (host, cpu) = ("there".into(), "virtual".into());
                let hello = Hello { protocol, name, host, pid: 0, numerics, cpu };
                self.send_up(link, ToHub::Control(FromWorker::Hello(hello)));
            }
            Fault::OpenAgain => {
                let Some((host, link)) = self.some_host() else { return Ok(false) };
                if !matches!(self.hosts[host].state, State::Inside(..)) {
                    return Ok(false);
                }
                let Some(session) = self.network.get(link).session else { return Ok(false) };
                self.send_up(link, ToHub::Tensors(Up::Open(session)));
                let ready = Ready { fingerprint: [7; 32], threads: 1 };
                self.send_up(link, ToHub::Control(FromWorker::Ready(ready)));
            }
            // The first worker's are the run's.
            Fault::WrongNumerics if self.hub.disk.fingerprint.is_none() => return Ok(false),
            Fault::WrongNumerics => {
                let host = self.add_host(Duration::ZERO);
                self.hosts[host].fingerprint = [8; 32];
            }
            Fault::WrongProtocol => {
                let host = self.add_host(Duration::ZERO);
                self.hosts[host].protocol += 1;
            }
        }
        Ok(true)
    }

    /// One that is connected.
    fn some_host(&mut self) -> Option<(usize, Link)> {
        let connected: Vec<(usize, Link)> =
            self.hosts.iter().enumerate().filter_map(|(host, h)| h.link().map(|link| (host, link))).collect();
        self.dice.pick(&connected)
    }

    fn cut(&mut self, planes: &[Plane], hub_notices: bool) -> bool {
        let Some((_, link)) = self.some_host() else { return false };
        planes.iter().for_each(|plane| self.network.cut(link, *plane));
        let most = if self.dice.chance(50) { 300 } else { 15_000 };
        let delay = self.dice.millis(0, most);
        self.after(delay, Event::HostNotices(link));
        if hub_notices {
            let most = if self.dice.chance(50) { 300 } else { 15_000 };
            let delay = self.dice.millis(0, most);
            self.after(delay, Event::HubNotices(link));
        }
        true
    }

    fn freeze(&mut self, least: u64, most: u64) -> bool {
        let Some((host, _)) = self.some_host() else { return false };
        let time = self.dice.millis(least, most);
        self.hosts[host].frozen = Some(self.now + time);
        self.after(time, Event::WakeHost(host));
        true
    }

    fn kill(&mut self, host: usize, fault: Fault) {
        let process = &mut self.hosts[host];
        let link = process.link();
        process.incarnation += 1;
        process.frozen = None;
        process.deferred.clear();
        if matches!(process.state, State::Exited) {
            return;
        }
        process.hung = false;
        process.state =
            if fault == Fault::KillForEver || process.leaving { State::Exited } else { State::Away };
        let incarnation = process.incarnation;
        if let Some(link) = link {
            self.network.get(link).host_gone = true;
            for plane in [Plane::Control, Plane::Tensors] {
                if fault == Fault::PowerOff {
                    self.network.cut(link, plane);
                } else {
                    self.send_up(link, ToHub::Eof(plane));
                }
            }
        }
        let delay = self.dice.millis(50, 4000);
        self.after(delay, Event::Host(host, incarnation, Errand::Connect));
    }

    fn crash_hub(&mut self, fault: Fault) -> bool {
        let running = self.hub.cluster.is_some();
        if running {
            self.end_life(fault != Fault::PowerOffHub);
        }
        running
    }

    fn nonsense(&mut self) -> bool {
        let Some((_, link)) = self.some_host() else { return false };
        let step = self.dice.between(0, self.case.total_steps + 1);
        let sums = lockstep_core::metrics::Sums { rows: 99, loss: 1e9, ..Default::default() };
        // Pieces that do not exist, or of a step that is not evaluated.
        let pieces = self.case.pieces.len() as u32;
        let evaluated = Evaluated { step, pieces: vec![(pieces, sums), (u32::MAX, sums)] };
        self.send_up(link, ToHub::Control(FromWorker::Evaluated(evaluated)));
        self.send_up(link, ToHub::Tensors(Up::Release(u64::MAX)));
        true
    }
}
