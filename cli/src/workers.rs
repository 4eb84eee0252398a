//! Processes that this one started to work for it.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use crate::print;

/// Workers, or the ssh processes that they hang on. They end with this process.
#[derive(Debug)]
pub struct Workers {
    kind: &'static str,
    children: Vec<(String, Child, Option<ExitStatus>)>,
}

impl Workers {
    /// None yet; `kind` is for people.
    pub fn new(kind: &'static str) -> Self {
        Self { kind, children: Vec::new() }
    }

    /// What they are.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// One more.
    pub fn push(&mut self, name: String, child: Child) {
        self.children.push((name, child, None));
    }

    /// How the workers ended, if all of them did. One that ended by failing is told as soon as it is seen.
    pub fn all_ended(&mut self) -> Option<String> {
        for (name, child, ended) in &mut self.children {
            if let (None, Ok(Some(status))) = (&ended, child.try_wait()) {
                *ended = Some(status);
                if !status.success() {
                    tracing::warn!("the process of worker {name} has ended: {status}");
                    if self.kind == crate::remote::KIND {
                        print::note(format!("the ssh of worker {name} has ended: {status}"));
                    }
                }
            }
        }
        let mut last = None;
        for (_, _, ended) in &self.children {
            last = Some((*ended)?.to_string());
        }
        last
    }

    /// Gives the workers a moment to end by themselves, then ends them.
    pub fn finish(mut self) {
        let until = Instant::now() + Duration::from_secs(5);
        while self.all_ended().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for (_, child, _) in &mut self.children {
            // One that has ended cannot be killed, and that is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
