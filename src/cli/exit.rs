//! Exit codes, and the error that carries one to `main`.

use crate::query::Summary;
use crate::shape::{ErrorAnswer, Kind, Problem};
use std::fmt::{self, Display};
use std::process::ExitCode;

/// How a command ended; documented in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All well.
    Done = 0,
    /// Done, but something is missing or broken.
    Incomplete = 1,
    /// Wrong arguments or configuration.
    Usage = 2,
    /// The system does not let it: permission, interface, store, disk.
    Cannot = 3,
}

impl Exit {
    /// Of an answer: damage, and what expired while it was made, is always held against it; with `strict` all that it lacks.
    pub fn of(summary: &Summary, strict: bool) -> Exit {
        let damaged = summary.damaged_segments + summary.damaged_blocks + summary.damaged_packets;
        let lacking = damaged + summary.expired_segments > 0 || strict && !summary.complete;
        if lacking { Exit::Incomplete } else { Exit::Done }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error to be shown, and the exit code that it means.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    kind: Kind,
    message: String,
}

impl Failure {
    /// The user asked for what makes no sense.
    pub fn usage(message: impl Display) -> Failure {
        Failure { exit: Exit::Usage, kind: Kind::Usage, message: message.to_string() }
    }

    /// The system refused.
    pub fn cannot(message: impl Display) -> Failure {
        Failure { exit: Exit::Cannot, kind: Kind::Cannot, message: message.to_string() }
    }

    /// The result is not whole.
    pub fn incomplete(message: impl Display) -> Failure {
        Failure { exit: Exit::Incomplete, kind: Kind::Incomplete, message: message.to_string() }
    }

    /// Of this kind: what a recorder called its refusal.
    pub fn of_kind(self, kind: Kind) -> Failure {
        Failure { kind, ..self }
    }

    /// As `--json` shows it.
    pub fn answer(&self) -> ErrorAnswer {
        let (kind, message) = (self.kind, self.message.clone());
        ErrorAnswer { error: Problem { kind, message, status: None, exit_code: Some(self.exit as u8) } }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
