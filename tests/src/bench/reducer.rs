//! The reducer alone: a real `lockstep coordinator`, fed by senders that compute nothing.
//!
//! Each sender holds one shard, and sends a gradient that was made beforehand as soon as it has the
//! step's weights and grants. So the time of a step is what the coordinator and the wire take.

mod sender;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lockstep_core::chunks::Chunks;
use lockstep_core::model::{Model, Target};
use lockstep_core::run::{self, spec::Run};
use lockstep_proto::settings::WINDOW;
use tokio::sync::mpsc;

use super::{cluster, tls};
use sender::{Pace, Sender, Shared};

/// Inputs, two hidden layers and outputs: 25 million parameters, nearly all in one layer.
const WIDTHS: [usize; 4] = [16, 4992, 4992, 10];

/// Steps before those that are measured.
const WARM_UP: u64 = 4;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Each holds one shard.
    pub senders: u32,
    /// Steps that are measured.
    pub steps: u64,
    /// The wire's encoding, as in a run file.
    pub wire: &'static str,
    /// The optimizer, as in a run file.
    pub optimizer: &'static str,
    /// Steps between two checkpoints.
    pub every_steps: u64,
    /// What the first sender waits after each chunk of weights.
    pub slow: Duration,
    /// Over TLS, with certificates of both sides.
    pub tls: bool,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// In the vector.
    pub parameters: usize,
    /// Payload bytes of all gradients in one step.
    pub bytes: f64,
    /// Of one step.
    pub seconds: f64,
    /// The coordinator's, of one step.
    pub coordinator_cpu: f64,
    /// All senders', of one step.
    pub senders_cpu: f64,
    /// The most memory that the coordinator ever held, in bytes.
    pub memory: f64,
}

/// The most memory that the coordinator may hold, in bytes: weights twice, two moments of the optimizer
/// and sums, a window for each worker; three more vectors while a checkpoint is written.
pub fn bound(parameters: usize, senders: u32, checkpoint: bool) -> f64 {
    let vectors = if checkpoint { 9.0 } else { 6.0 };
    vectors * parameters as f64 * 4.0 + f64::from(senders) * f64::from(WINDOW) + f64::from(64 << 20)
}

/// Runs it in `folder`.
///
/// # Errors
/// The coordinator fails, or refuses what the senders say.
pub fn measure(folder: &Path, setting: Setting) -> Result<Measured> {
    let text = write(folder, &setting)?;
    let run = run::parse(&text, &[])?;
    let model = Model::new(&run.model, &[WIDTHS[0]], Target::Classes(WIDTHS[3]))?;
    if setting.tls {
        tls::certificates(folder)?;
    }
    let certs = setting.tls.then(|| folder.join("certs"));
    let mut coordinator = Coordinator::start(folder, certs.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let measured = runtime.block_on(feed(&mut coordinator, &setting, &run, &model, certs))?;
    let status = coordinator.0.wait()?;
    ensure!(status.success(), "the coordinator: {status}");
    Ok(measured)
}

async fn feed(
    coordinator: &mut Coordinator,
    setting: &Setting,
    run: &Run,
    model: &Model,
    certs: Option<PathBuf>,
) -> Result<Measured> {
    let address = coordinator.address()?;
    let parameters = model.layout().len();
    let gradient: Vec<f32> = (0..parameters).map(|i| ((i % 255) as f32 - 127.0) * 1e-6).collect();
    let (began, mut begun) = mpsc::unbounded_channel();
    let shared =
        Shared::new(Chunks::new(model.layout()), run.cluster.wire, &gradient, setting.senders, certs);
    drop(gradient);
    let mut senders = tokio::task::JoinSet::new();
    for number in 0..setting.senders {
        let first = number == 0;
        let pace = if first { Pace::Every(setting.slow) } else { Pace::AtOnce };
        let sender = Sender::new(number, pace, shared.clone());
        senders.spawn(sender.run(address, if first { Some(began.clone()) } else { None }));
    }
    drop(began);

    let (mut start, mut measured) = (None, None);
    let last = WARM_UP + setting.steps;
    loop {
        tokio::select! {
            Some(step) = begun.recv() => {
                let now = Moment::now(&coordinator.0)?;
                if step == WARM_UP {
                    start = Some(now);
                } else if step == last && let Some(start) = start.take() {
                    let memory = memory(&coordinator.0)?;
                    measured = Some((start, now, memory));
                }
            }
            ended = senders.join_next() => match ended {
                None => break,
                Some(ended) => ended??,
            },
        }
    }
    let Some((start, end, memory)) = measured else { bail!("the run ended before its last step") };
    let steps = setting.steps as f64;
    Ok(Measured {
        parameters,
        bytes: shared.bytes() as f64 * f64::from(setting.senders),
        seconds: (end.at - start.at).as_secs_f64() / steps,
        coordinator_cpu: (end.coordinator - start.coordinator) / steps,
        senders_cpu: (end.senders - start.senders) / steps,
        memory,
    })
}

/// Writes rows and run file; each shard has one row in a step.
fn write(folder: &Path, setting: &Setting) -> Result<String> {
    let Setting { senders, steps, wire, optimizer, every_steps, .. } = setting;
    let [inputs, first, second, classes] = WIDTHS;
    let mut rows = std::fs::File::create(folder.join("rows.csv"))?;
    let names: Vec<String> = (0..inputs).map(|column| format!("x{column}")).collect();
    writeln!(rows, "{},label", names.join(","))?;
    // Every class must be there.
    let count = u32::try_from(classes)?.next_multiple_of(*senders);
    for row in 0..count {
        let values: Vec<String> =
            (0..inputs).map(|column| format!("{}", (row + 1) * column as u32)).collect();
        writeln!(rows, "{},{}", values.join(","), row % u32::try_from(classes)?)?;
    }
    let epochs = (WARM_UP + steps + 1).div_ceil(u64::from(count / senders));
    let run = format!(
        "name = \"reducer\"\n\n[data]\ntrain = \"rows.csv\"\ntarget = \"label\"\n\n[model]\n\
         loss = \"cross_entropy\"\nlayers = [{{ linear = {first} }}, \"relu\", {{ linear = {second} }}, \"relu\", \
         {{ linear = {classes} }}]\n\n[train]\nepochs = {epochs}\nbatch_size = {senders}\noptimizer = {optimizer}\n\n\
         [cluster]\nshards = {senders}\nwire = \"{wire}\"\nheartbeat_ms = 10000\n\n[checkpoint]\nevery_steps = {every_steps}\n"
    );
    std::fs::write(folder.join("run.toml"), &run)?;
    Ok(run)
}

/// `lockstep coordinator`; it ends with its handle.
struct Coordinator(Child);

impl Coordinator {
    fn start(folder: &Path, certs: Option<&Path>) -> Result<Self> {
        let mut command = Command::new(cluster::command()?);
        command.args(["coordinator", "run.toml", "--run-dir", "run", "--listen", "127.0.0.1:0"]);
        command.args(["--record-every", "1"]);
        if let Some(certs) = certs {
            command.arg("--certs").arg(certs.join("coordinator"));
        }
        for pinned in ["OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS"] {
            command.env_remove(pinned);
        }
        command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(Self(command.spawn()?))
    }

    /// Where it listens, once it does.
    fn address(&mut self) -> Result<SocketAddr> {
        let mut errors = BufReader::new(self.0.stderr.take().context("no stderr")?);
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            ensure!(errors.read_line(&mut line)? > 0, "the coordinator has ended: {said}");
            said += &line;
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split_once(';').map_or(rest, |(address, _)| address).trim().parse()?;
            }
        };
        // What it goes on to say must be read, or it would wait.
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        Ok(address)
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // It has ended already, if all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A look at the clock and at what has been computed until then.
struct Moment {
    at: Instant,
    coordinator: f64,
    senders: f64,
}

impl Moment {
    fn now(coordinator: &Child) -> Result<Self> {
        let own = std::process::id();
        Ok(Self { at: Instant::now(), coordinator: cpu(coordinator.id())?, senders: cpu(own)? })
    }
}

/// Core-seconds that a process has used.
fn cpu(process: u32) -> Result<f64> {
    /// The kernel's unit for them, on every Linux.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("no name in /proc")?;
    let times = rest.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(times.sum::<Result<f64, _>>()? / TICKS)
}

/// The most that a process has ever held, in bytes.
fn memory(process: &Child) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024.0)
}
