//! A worker's part of the run's trace: its session, and below that what it computes.

use lockstep_proto::settings::TRACE;
use tracing::{Span, trace_span};

use super::Options;
use super::join::Joined;

/// Of one session.
pub(super) struct Spans {
    session: Span,
    /// Held to be closed when the job is done.
    work: Span,
}

impl Spans {
    /// Below the span that the coordinator names, if it does.
    pub(super) fn new(options: &Options, joined: &Joined, parent: Option<&str>) -> Self {
        let Options { name, host, .. } = options;
        let run = &joined.task.run.name;
        let session = trace_span!(target: TRACE, parent: None, "session", worker = name, host, run);
        if let Some(parent) = parent {
            (options.follow)(&session, parent);
        }
        Self { session, work: Span::none() }
    }

    /// A job begins.
    pub(super) fn compute(&mut self, step: u64, nodes: usize) {
        self.work = trace_span!(target: TRACE, parent: &self.session, "compute", step, nodes);
    }

    /// An evaluation begins.
    pub(super) fn evaluate(&mut self, step: u64, pieces: usize) {
        self.work = trace_span!(target: TRACE, parent: &self.session, "evaluate", step, pieces);
    }

    /// It is done.
    pub(super) fn done(&mut self) {
        self.work = Span::none();
    }
}
