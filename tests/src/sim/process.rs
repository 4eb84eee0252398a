//! What a worker's process does around the pure session: joining, heartbeats, computing.

use std::time::Duration;

use lockstep_core::gradient::Step;
use lockstep_core::local::LeftOut;
use lockstep_core::tree::Tree;
use lockstep_proto::Payloads;
use lockstep_proto::message::{
    Down, Explain, Explained, Found, FromWorker, Gradient, Hello, Outcome, Ready, Reason, ToWorker, Up,
};
use lockstep_worker::compute::{self, Emitted};
use lockstep_worker::session::{Input, Job, Output, Session};

use super::dice::Dice;
use super::host::State;
use super::invariants::Verdict;
use super::network::{Link, Plane, ToHost, ToHub};
use super::world::{Errand, Event, LIES, World};

impl World {
    pub(super) fn errand(&mut self, host: usize, incarnation: u32, errand: Errand) -> Verdict {
        let process = &self.hosts[host];
        if process.incarnation != incarnation {
            return Ok(());
        }
        let link = match &errand {
            Errand::Connect => {
                self.connect(host);
                return Ok(());
            }
            Errand::Heartbeat(link)
            | Errand::Open(link)
            | Errand::Ready(link)
            | Errand::Compute(link, _)
            | Errand::Evaluate(link, ..)
            | Errand::Explain(link, ..)
            | Errand::Computed(link, _) => *link,
        };
        if process.link() != Some(link) {
            return Ok(());
        }
        if process.hung && matches!(errand, Errand::Compute(..) | Errand::Evaluate(..) | Errand::Computed(..))
        {
            self.tally.count("a worker hung with work in its hands");
            return Ok(());
        }
        match errand {
            Errand::Connect => {}
            Errand::Heartbeat(_) => {
                self.send_up(link, ToHub::Control(FromWorker::Heartbeat));
                self.heartbeat(host, link);
            }
            Errand::Open(_) => {
                if let Some(session) = self.network.get(link).session {
                    self.send_up(link, ToHub::Tensors(Up::Open(session)));
                }
            }
            Errand::Ready(_) => {
                let ready = Ready { fingerprint: process.fingerprint, threads: 1 };
                self.send_up(link, ToHub::Control(FromWorker::Ready(ready)));
            }
            // The forward pass has come as far as the weights, and waits for more.
            Errand::Compute(_, job) if job.weights.here() < self.case.model.layers() => {
                self.tally.count("fault: weights that came in the middle of a forward pass");
                let delay = self.dice.millis(1, 20);
                self.after(delay, Event::Host(host, incarnation, Errand::Compute(link, job)));
            }
            Errand::Compute(_, job) => self.compute(host, link, &job)?,
            Errand::Explain(_, of) => {
                let found = self.explain(of);
                self.session(host, link, Input::Explained(Explained { of, found }))?;
            }
            Errand::Evaluate(_, step, weights, pieces) => {
                let mut all = Vec::new();
                for piece in pieces {
                    let (sums, rows) = self.case.evaluate(&*weights, piece);
                    self.invariants.rows.evaluated(step, piece, rows);
                    all.push((piece, sums));
                }
                self.session(host, link, Input::Evaluated(all))?;
            }
            Errand::Computed(_, input) => self.session(host, link, input)?,
        }
        Ok(())
    }

    fn connect(&mut self, host: usize) {
        let process = &mut self.hosts[host];
        if !matches!(process.state, State::Away) {
            return;
        }
        let incarnation = process.incarnation;
        if self.hub.cluster.is_none() {
            let delay = self.dice.millis(100, 1000);
            return self.after(delay, Event::Host(host, incarnation, Errand::Connect));
        }
        let link = self.network.open(host, incarnation, self.hub.life());
        process.state = State::Knocking(link);
        let hello = Hello {
            protocol: process.protocol,
            name: process.name.clone(),
            host: format!("host-{host}"),
            pid: incarnation,
            numerics: "virtual/none/1".into(),
            cpu: "virtual".into(),
        };
        self.send_up(link, ToHub::Control(FromWorker::Hello(hello)));
        self.heartbeat(host, link);
    }

    fn heartbeat(&mut self, host: usize, link: Link) {
        let pause = Duration::from_millis(self.case.run.cluster.heartbeat_ms);
        let incarnation = self.hosts[host].incarnation;
        self.after(pause, Event::Host(host, incarnation, Errand::Heartbeat(link)));
    }

    pub(super) fn send_up(&mut self, link: Link, message: ToHub) {
        let at = self.network.up(self.now, link, &message, &mut self.dice);
        self.at(at, Event::ToHub(link, message));
    }

    pub(super) fn at_host(&mut self, link: Link, message: ToHost) -> Verdict {
        let connection = self.network.get(link);
        let (host, incarnation) = (connection.host, connection.incarnation);
        if connection.host_gone || self.network.loses_down(link, &message) {
            return Ok(());
        }
        let process = &mut self.hosts[host];
        if process.incarnation != incarnation || process.link() != Some(link) {
            return Ok(());
        }
        let input = match message {
            ToHost::Eof(_) => {
                self.drop_link(link);
                return Ok(());
            }
            ToHost::Tensors(down) => {
                let queued = &mut self.network.get(link).queued;
                match &down {
                    Down::Weights(weights) if !weights.exact => queued.0 -= 1,
                    Down::Weights(_) | Down::Grant { .. } => {}
                }
                Input::Tensors(down)
            }
            ToHost::Control(ToWorker::Assign(assign)) => Input::Assign(assign),
            ToHost::Control(ToWorker::Evaluate(evaluate)) => Input::Evaluate(evaluate),
            ToHost::Control(ToWorker::Explain(explain)) => Input::Explain(explain),
            ToHost::Control(ToWorker::Accepted) => return Ok(()),
            ToHost::Control(ToWorker::Leave) => {
                if !process.leaving {
                    return Err("a worker was told to leave that did not want to".into());
                }
                self.tally.count("fault: a worker left");
                self.drop_link(link);
                return Ok(());
            }
            ToHost::Control(ToWorker::Welcome(welcome)) => {
                let wire = self.case.run.cluster.wire;
                let session = Session::new(&self.case.model, self.case.chunks.clone(), wire, welcome.window);
                process.state = State::Inside(link, Box::new(session));
                for errand in [Errand::Open(link), Errand::Ready(link)] {
                    let delay = self.dice.millis(0, 300);
                    self.after(delay, Event::Host(host, incarnation, errand));
                }
                return Ok(());
            }
            ToHost::Control(ToWorker::Refused(refused)) => {
                self.tally.count(format!("worker refused: {:?}", refused.reason));
                if refused.reason == Reason::Hung {
                    self.tally.count("fault: a hung worker was put out");
                }
                self.drop_link(link);
                if !refused.reason.may_return() {
                    self.hosts[host].state = State::Exited;
                }
                return Ok(());
            }
            ToHost::Control(ToWorker::End(end)) => {
                self.drop_link(link);
                if end.outcome == Outcome::Finished {
                    self.hosts[host].state = State::Exited;
                }
                return Ok(());
            }
        };
        self.session(host, link, input)
    }

    /// The worker leaves a connection and tries again later.
    pub(super) fn drop_link(&mut self, link: Link) {
        let connection = self.network.get(link);
        let host = connection.host;
        if std::mem::replace(&mut connection.host_gone, true) {
            return;
        }
        self.send_up(link, ToHub::Eof(Plane::Control));
        self.send_up(link, ToHub::Eof(Plane::Tensors));
        let process = &mut self.hosts[host];
        if process.link() == Some(link) {
            process.hung = false;
            process.state = if process.leaving { State::Exited } else { State::Away };
            let (incarnation, delay) = (process.incarnation, self.dice.millis(50, 1000));
            self.after(delay, Event::Host(host, incarnation, Errand::Connect));
        }
    }

    /// Hands the session an input and performs what comes out.
    fn session(&mut self, host: usize, link: Link, input: Input) -> Verdict {
        let process = &mut self.hosts[host];
        let (incarnation, slowness) = (process.incarnation, process.slowness);
        let State::Inside(_, session) = &mut process.state else { return Ok(()) };
        session.handle(input).map_err(|misfit| format!("an honest coordinator was doubted: {misfit}"))?;
        let outputs: Vec<Output> = std::iter::from_fn(|| session.poll_output()).collect();
        for output in outputs {
            match output {
                Output::Control(message) => self.send_up(link, ToHub::Control(message)),
                Output::Tensors(message) => self.send_up(link, ToHub::Tensors(message)),
                Output::Compute(job) => {
                    let shards: u64 = job.nodes.iter().map(|node| 1 << node.level).sum();
                    let delay = self.dice.millis(slowness * shards / 2, slowness * shards);
                    self.hosts[host].began = self.now;
                    self.after(delay, Event::Host(host, incarnation, Errand::Compute(link, job)));
                }
                Output::Explain(of, _) => {
                    let delay = self.dice.millis(0, slowness);
                    self.after(delay, Event::Host(host, incarnation, Errand::Explain(link, of)));
                }
                Output::Evaluate { step, weights, pieces } => {
                    let most = slowness * pieces.len() as u64;
                    let delay = self.dice.millis(most / 2, most);
                    let errand = Errand::Evaluate(link, step, weights, pieces);
                    self.after(delay, Event::Host(host, incarnation, errand));
                }
            }
        }
        Ok(())
    }

    /// What is wrong with a node's numbers, if it is not this worker alone.
    fn explain(&self, of: Explain) -> Option<Found> {
        let found = Found { shard: of.node.shards().start, row: None, place: "the gradient".into() };
        Some(found).filter(|_| self.case.left_out(of.step) == Some(LeftOut::NotFinite))
    }

    /// The real arithmetic; its chunks come out one after the other in virtual time.
    fn compute(&mut self, host: usize, link: Link, job: &Job) -> Verdict {
        let case = self.case.clone();
        let process = &mut self.hosts[host];
        let tree = Tree::new(case.run.cluster.shards);
        let mut microbatches = Vec::new();
        for shard in job.nodes.iter().flat_map(|node| node.shards()).filter(|shard| *shard < tree.shards()) {
            let rows = case.rows(&mut process.order, job.step, shard);
            microbatches.push(case.microbatch(&rows, shard));
            self.invariants.rows.computed(job.step, shard, rows)?;
        }
        let step = Step { seed: case.run.seed, step: job.step, tree, wire: case.run.cluster.wire };
        let shards = microbatches.len() as u32;
        let mut inputs = Vec::new();
        compute::run(
            &mut process.engine,
            &case.chunks,
            &mut Payloads::new(0),
            step,
            job,
            &mut microbatches,
            |emitted| {
                if let Emitted::Chunk(gradient) = emitted {
                    inputs.push(Input::Chunk(gradient));
                }
            },
        );
        if process.feverish > 0 && !inputs.is_empty() {
            process.feverish -= 1;
            self.tally.count("injected: a number that is not finite");
            inputs.iter_mut().for_each(spoil);
        }
        if process.lies > 0 {
            let (reducer, lying) = (self.hub.cluster.as_ref().map(|cluster| cluster.reducer()), self.lying);
            let counts = |input: &&mut Input| matches!(input, Input::Chunk(gradient) if lying || reducer.is_some_and(|reducer| reducer.audits(gradient.node)));
            let chunks: Vec<&mut Input> = inputs.iter_mut().filter(counts).collect();
            let which = self.dice.between(0, (chunks.len() as u64).saturating_sub(1)) as usize;
            if let Some(Input::Chunk(gradient)) = chunks.into_iter().nth(which) {
                flip(gradient, &mut self.dice);
                process.lies -= 1;
                self.tally.count(LIES);
                self.invariants.audit.lie(&process.name, gradient);
            }
        }
        let (incarnation, slowness) = (process.incarnation, process.slowness);
        let began = process.began;
        let mut at = self.now;
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..=inputs.len() {
            at += self.dice.millis(0, 1 + slowness / 8);
            times.push(at);
        }
        let micros = at.saturating_sub(began).as_micros() as u64;
        // A job that was given up says nothing of speed.
        let shards = if inputs.is_empty() { 0 } else { shards };
        inputs.push(Input::Done { shards, micros });
        for (input, at) in inputs.into_iter().zip(times) {
            self.at(at, Event::Host(host, incarnation, Errand::Computed(link, input)));
        }
        Ok(())
    }
}

/// One bit of the mantissa of one of its numbers, in f32 and in bf16.
fn flip(gradient: &mut Gradient, dice: &mut Dice) {
    let mut bytes = gradient.payload.to_vec();
    let width = if bytes.len().is_multiple_of(4) { 4 } else { 2 };
    let number = dice.between(0, (bytes.len() / width) as u64 - 1) as usize;
    bytes[number * width] ^= 1 << dice.between(0, 6);
    gradient.payload = bytes.into();
}

/// Makes the last number of a gradient's chunk NaN.
fn spoil(input: &mut Input) {
    if let Input::Chunk(gradient) = input {
        let mut bytes = gradient.payload.to_vec();
        let last = bytes.len().saturating_sub(2);
        bytes[last..].fill(0xff);
        gradient.payload = bytes.into();
    }
}
