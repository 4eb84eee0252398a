//! A run's trace: a span for each step, evaluation and wait, one after the other.

use lockstep_proto::settings::TRACE;
use tracing::{Span, trace_span};

use crate::machine::Doing;

/// What a run's spans hang on.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The whole run; disabled where nobody takes spans.
    pub run: Span,
    /// By which workers put their spans below it: `traceparent` of W3C's Trace Context.
    pub parent: Option<String>,
}

impl Default for Trace {
    fn default() -> Self {
        Self { run: Span::none(), parent: None }
    }
}

/// The span of what is being done.
#[derive(Debug)]
pub(crate) struct Phases {
    run: Span,
    /// Held to be closed when something else is done.
    span: Span,
    doing: Option<(Doing, u64)>,
}

impl Phases {
    pub(crate) fn new(run: Span) -> Self {
        Self { run, span: Span::none(), doing: None }
    }

    /// With so many steps done, this is being done.
    pub(crate) fn turn(&mut self, doing: Doing, step: u64) {
        if self.run.is_disabled() || self.doing == Some((doing, step)) {
            return;
        }
        self.doing = Some((doing, step));
        let run = &self.run;
        self.span = match doing {
            Doing::Waiting => trace_span!(target: TRACE, parent: run, "waiting", step),
            Doing::Step => trace_span!(target: TRACE, parent: run, "step", step),
            Doing::Evaluation => trace_span!(target: TRACE, parent: run, "evaluation", step),
            Doing::Ended => Span::none(),
        };
    }

    /// Of a checkpoint's write, which goes on beside the rest.
    pub(crate) fn checkpoint(&self, step: u64) -> Span {
        trace_span!(target: TRACE, parent: &self.run, "checkpoint", step)
    }
}
