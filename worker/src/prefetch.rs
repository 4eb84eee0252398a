//! Rows of the next step, gathered on a thread of their own while the present one is computed.

use std::sync::mpsc;
use std::{io, thread};

use lockstep_core::model::Microbatch;

use crate::task::{Task, Unfit, empty};

/// The microbatches of a step's shards.
type Batches = Result<Vec<Microbatch<f32>>, Unfit>;

#[derive(Debug)]
struct Request {
    step: u64,
    shards: Vec<u32>,
    /// Memory to be filled again.
    spare: Vec<Microbatch<f32>>,
}

/// Hands out microbatches and gathers ahead.
#[derive(Debug)]
pub(crate) struct Prefetch {
    requests: mpsc::Sender<Request>,
    batches: mpsc::Receiver<Batches>,
    /// What is being gathered.
    ahead: Option<(u64, Vec<u32>)>,
    spare: Vec<Microbatch<f32>>,
}

impl Prefetch {
    /// Starts the thread; it ends when this is dropped.
    pub(crate) fn start(task: Task) -> io::Result<Self> {
        let (requests, incoming) = mpsc::channel::<Request>();
        let (outgoing, batches) = mpsc::channel();
        thread::Builder::new().name("prefetch".into()).spawn(move || {
            let mut order = task.order();
            for request in incoming {
                let mut batches = request.spare;
                batches.resize_with(request.shards.len(), empty);
                task.keep(&mut order, request.step, &request.shards);
                let mut loads = request.shards.iter().zip(&mut batches);
                let loaded = loads
                    .try_for_each(|(shard, batch)| task.load_step(&mut order, request.step, *shard, batch));
                if outgoing.send(loaded.map(|()| batches)).is_err() {
                    return;
                }
                task.ahead(&mut order, request.step, &request.shards);
            }
        })?;
        Ok(Self { requests, batches, ahead: None, spare: Vec::new() })
    }

    /// The microbatches of these shards in this step; waits if they are not gathered yet.
    pub(crate) fn take(&mut self, step: u64, shards: Vec<u32>) -> Result<Vec<Microbatch<f32>>, Unfit> {
        let wanted = (step, shards);
        if let Some(ahead) = self.ahead.take() {
            let batches = self.receive()?;
            if ahead == wanted {
                return Ok(batches);
            }
            self.spare.extend(batches);
        }
        self.request(wanted);
        self.receive()
    }

    /// Gathers ahead for a step that is likely to come.
    pub(crate) fn ahead(&mut self, step: u64, shards: Vec<u32>, spare: Vec<Microbatch<f32>>) {
        self.spare.extend(spare);
        if self.ahead.is_none() {
            self.request((step, shards.clone()));
            self.ahead = Some((step, shards));
        }
    }

    fn request(&mut self, (step, shards): (u64, Vec<u32>)) {
        let spare = std::mem::take(&mut self.spare);
        // If the thread is gone, so is its answer, and `receive` says so.
        let _ = self.requests.send(Request { step, shards, spare });
    }

    fn receive(&self) -> Result<Vec<Microbatch<f32>>, Unfit> {
        self.batches.recv().unwrap_or(Err(Unfit::Thread))
    }
}
