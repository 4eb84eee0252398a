//! How a command ends: the exit codes that scripts rely on.

use std::fmt;

use lockstep_coordinator::store::StoreError;

/// Exit codes, as documented for schedulers and scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// It failed.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// Not finished: run the same again.
    Unfinished = 75,
    /// Bad run file or data: do not retry.
    Bad = 78,
}

/// Why a command did not finish: one message for people, one code for machines.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    message: String,
}

impl Failure {
    /// It failed (1).
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { code: Code::Failed, message: message.to_string() }
    }

    /// Wrong usage (2).
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { code: Code::Usage, message: message.to_string() }
    }

    /// Not finished (75).
    pub fn unfinished(message: impl fmt::Display) -> Self {
        Self { code: Code::Unfinished, message: message.to_string() }
    }

    /// Bad run file or data (78).
    pub fn bad(message: impl fmt::Display) -> Self {
        Self { code: Code::Bad, message: message.to_string() }
    }

    /// How grave it is, for a log line.
    pub const fn level(&self) -> &'static str {
        match self.code {
            Code::Unfinished => "INFO",
            Code::Failed | Code::Usage | Code::Bad => "ERROR",
        }
    }

    /// The process's exit code.
    pub const fn code(&self) -> u8 {
        self.code as u8
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error.exit_code() {
            78 => Self::bad(error),
            2 => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Code::Unfinished => f.write_str(&self.message),
            _ => write!(f, "error: {}", self.message),
        }
    }
}
