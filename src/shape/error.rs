//! Errors: the same object from a command with `--json`, on standard error, and from the API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of error it is: what a program decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The question, the arguments or the configuration make no sense.
    Usage,
    /// Whoever asks is not known: no token, or a wrong one.
    Unknown,
    /// Whoever asks may not.
    Forbidden,
    /// There is nothing of that name.
    NotFound,
    /// There is one of that name already.
    Conflict,
    /// The question or the answer is too large, or it takes too long.
    TooLarge,
    /// Too much is asked at once, or the recorder ends: ask again later.
    Busy,
    /// There is no room: the limit of holds or of orders is reached.
    Full,
    /// Done, but not whole: something is missing or broken.
    Incomplete,
    /// The system does not let it: permission, interface, store, disk, connection.
    Cannot,
    /// The recorder failed: its log says more.
    Internal,
}

impl Kind {
    /// Of an HTTP status.
    pub fn of_status(status: u16) -> Kind {
        match status {
            401 => Kind::Unknown,
            403 => Kind::Forbidden,
            404 => Kind::NotFound,
            409 => Kind::Conflict,
            413 => Kind::TooLarge,
            429 | 503 => Kind::Busy,
            507 => Kind::Full,
            400..=499 => Kind::Usage,
            _ => Kind::Internal,
        }
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What kind of error it is.
    pub kind: Kind,
    /// What is wrong, and what would be right: for people.
    pub message: String,
    /// From the API: the HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// From a command: its exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
}

/// An error, where an answer would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct ErrorAnswer {
    /// What went wrong.
    pub error: Problem,
}

impl ErrorAnswer {
    /// Of the API.
    pub fn of_status(status: u16, message: impl Into<String>) -> ErrorAnswer {
        let (kind, message) = (Kind::of_status(status), message.into());
        ErrorAnswer { error: Problem { kind, message, status: Some(status), exit_code: None } }
    }
}
