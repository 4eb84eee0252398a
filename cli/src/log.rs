//! Where log lines go, to stderr or to a file, and in which form: plain lines with a time, or JSON.

use std::fs::File;
use std::sync::Mutex;

use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, Layer};

use crate::print;

mod json;
#[cfg(feature = "otel")]
mod traces;
#[cfg(not(feature = "otel"))]
#[path = "log/untraced.rs"]
mod traces;

pub use traces::{finish, follow, parent};

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: a time, a level, a sentence.
    #[default]
    Text,
    /// For programs: an object a line, with run, worker and step where they are known.
    Json,
}

impl Format {
    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct LogArguments {
    /// Log lines, and lines on stderr, as text or as JSON; LOCKSTEP_LOG filters them
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        env = "LOCKSTEP_LOG_FORMAT",
        hide_env_values = true,
        default_value_t
    )]
    log_format: Format,
}

impl LogArguments {
    /// Lines on stderr are in this form from now on.
    pub fn format(self) -> Format {
        if self.log_format == Format::Json {
            print::structured();
        }
        self.log_format
    }
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_env("LOCKSTEP_LOG").unwrap_or_else(|_| EnvFilter::new("info"))
}

/// For commands whose log is what they show.
pub fn to_stderr(format: Format) {
    to(std::io::stderr, format);
}

/// For commands that show progress instead.
pub fn to_file(file: File, format: Format) {
    to(Mutex::new(file), format);
}

fn to(writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static, format: Format) {
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false);
    let lines = match format {
        // The sentences say what the spans' fields would repeat.
        Format::Text => lines.with_writer(writer).with_filter(filter_fn(|data| data.is_event())).boxed(),
        Format::Json => {
            lines.fmt_fields(JsonFields::new()).event_format(json::Line).with_writer(writer).boxed()
        }
    };
    // The filter is that of lines: a trace has the spans that it needs, whatever is logged.
    let lines = lines.with_filter(filter());
    // A second subscriber in one process would be refused, and the first stays.
    let _ = tracing_subscriber::registry().with(traces::layer()).with(lines).try_init();
}
