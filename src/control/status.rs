//! What `/v1/status` says: the recorder, and the API beside it. Owns the fields; made by the route, read by the command line.

use crate::metrics::status::{ProcessMemory, RecorderState};
use crate::shape::{Count, Seconds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A recorder, a second ago at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// Its store.
    pub store: PathBuf,
    /// What it records, and how that goes.
    #[serde(flatten)]
    pub recorder: RecorderState,
    /// Queries under way.
    #[serde(with = "Count")]
    pub queries: u64,
    /// What slows questions down while buffers fill.
    pub brake: Brake,
    /// The audit log.
    pub audit: Audit,
    /// The process that answers; the same where one process does all.
    pub answering: ProcessMemory,
}

/// What slows questions down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Brake {
    /// Questions wait now.
    pub on: bool,
    /// How often a question, or who asked for this, found it on that had found it off.
    #[serde(with = "Count")]
    pub times: u64,
    /// How long questions have waited, all together.
    #[serde(with = "Seconds")]
    pub waited_seconds: u64,
}

/// The audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// Why it can't be written just now; null: it can. While it can't, nothing is answered but statistics.
    pub failing: Option<String>,
}
