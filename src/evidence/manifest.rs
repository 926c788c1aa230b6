//! The manifest: JSON beside the packets. Owns its fields and its version; `docs/evidence.md` tells them to whoever gets one. Times are RFC 3339 with
//! nanoseconds, lengths of time seconds.

use super::{EvidenceError, Origin, Who, at};
use crate::limits::MANIFEST_BYTES_MAX;
use crate::query::{Query, Summary, sentences};
use crate::shape::{Count, Maybe};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// What a manifest says it is.
pub const KIND: &str = "retrotap-manifest";
/// Of its fields; a reader refuses another.
pub const VERSION: u32 = 1;

pub use crate::shape::rfc3339 as stamp;

/// The question, as it was asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "AskedQuestion")]
pub struct Question {
    /// pcap-filter expression; empty: all packets.
    pub filter: String,
    /// Also inside tags and tunnels.
    pub any_layer: bool,
    /// One connection.
    pub conn: Option<String>,
    /// The connection with this community ID.
    pub community_id: Option<String>,
    /// Only these classes; empty: all.
    pub classes: Vec<String>,
    /// Only what came in by these interfaces; empty: all.
    pub interfaces: Vec<String>,
    /// From this time on.
    pub since: Option<String>,
    /// Before this time.
    pub until: Option<String>,
    /// The last so many seconds before it was asked.
    pub last_seconds: Option<f64>,
    /// At most so many packets, the oldest.
    #[serde(with = "Maybe::<Count>")]
    pub limit: Option<u64>,
    /// Only what was in memory.
    pub memory_only: bool,
    /// And what came, for a time.
    pub follow: bool,
}

impl Question {
    /// Of a query; `follow`: and what came afterwards.
    pub fn of(query: &Query, follow: bool) -> Question {
        Question {
            filter: query.filter.clone(),
            any_layer: query.any_layer,
            conn: query.conn.as_ref().map(ToString::to_string),
            community_id: query.community.as_ref().map(ToString::to_string),
            classes: query.classes.clone(),
            interfaces: query.interfaces.clone(),
            since: query.since.map(stamp),
            until: query.until.map(stamp),
            last_seconds: query.last.map(|ns| ns as f64 / 1e9),
            limit: query.limit,
            memory_only: query.memory_only,
            follow,
        }
    }
}

/// Format of the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PacketFormat {
    /// pcapng.
    Pcapng,
    /// pcap.
    Pcap,
}

/// The file of packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileSum {
    /// Its name, without a folder: it lies beside the manifest. Null: it went through a pipe.
    pub name: Option<String>,
    /// Its format.
    pub format: PacketFormat,
    /// Its length.
    #[serde(with = "Count")]
    pub bytes: u64,
    /// 64 hexadecimal digits.
    pub sha256: String,
}

/// A hold that the packets are of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "HoldOfManifest")]
pub struct HoldNote {
    /// Its name.
    pub name: String,
    /// Why it is kept.
    pub reason: String,
    /// Who made it.
    pub made_by: Who,
    /// When, RFC 3339.
    pub made: String,
    /// What it is about, as a program had it.
    pub about: Option<serde_json::Value>,
}

/// A manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// [`KIND`].
    pub kind: String,
    /// [`VERSION`].
    pub format: u32,
    /// When it was made, RFC 3339.
    pub made: String,
    /// The program that made it.
    pub program: String,
    /// Who asked, as the program that asked knows it.
    pub asked_by: Who,
    /// What was asked.
    pub question: Question,
    /// Packets from this time on; null: from the beginning of the store.
    pub since: Option<String>,
    /// Packets before this time; null: to the end of then.
    pub until: Option<String>,
    /// Where the packets come from.
    pub origin: Origin,
    /// The hold that they were kept in, if they were.
    pub hold: Option<HoldNote>,
    /// Packets.
    #[serde(with = "Count")]
    pub packets: u64,
    /// Their bytes on the wire.
    #[serde(with = "Count")]
    pub bytes: u64,
    /// Connections that they are of.
    #[serde(with = "Count")]
    pub connections: u64,
    /// Time of the earliest.
    pub first: Option<String>,
    /// Time of the latest.
    pub last: Option<String>,
    /// Nothing is known to be missing but what the policy leaves out.
    pub complete: bool,
    /// What is missing, and what is to be known of the rest: a sentence each.
    pub missing: Vec<String>,
    /// The file of packets.
    pub file: FileSum,
    /// The summary of the answer, as `query --json` has it.
    pub summary: serde_json::Value,
}

impl Manifest {
    /// Of an answer that was given to this process's user.
    pub fn new(question: Question, origin: Origin, summary: &Summary, file: FileSum, now: u64) -> Manifest {
        Manifest {
            kind: KIND.to_owned(),
            format: VERSION,
            made: stamp(now),
            program: concat!("retrotap ", env!("CARGO_PKG_VERSION")).to_owned(),
            asked_by: Who::me(),
            question,
            since: summary.since.map(stamp),
            until: summary.until.map(stamp),
            origin,
            hold: None,
            packets: summary.packets,
            bytes: summary.bytes,
            connections: summary.connections,
            first: summary.first.map(stamp),
            last: summary.last.map(stamp),
            complete: summary.complete,
            missing: sentences(summary),
            file,
            summary: serde_json::to_value(summary).unwrap_or_default(),
        }
    }

    /// Writes it.
    pub fn write(&self, mut to: impl Write) -> std::io::Result<()> {
        serde_json::to_writer_pretty(&mut to, self)?;
        to.write_all(b"\n")
    }

    /// As the API gives it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Reads one.
    pub fn read(path: &Path) -> Result<Manifest, EvidenceError> {
        let wrong = |why: String| EvidenceError::NoManifest { path: path.to_owned(), why };
        let mut text = Vec::new();
        let read = File::open(path).and_then(|f| f.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut text));
        if read.map_err(at(path))? as u64 > MANIFEST_BYTES_MAX {
            return Err(wrong("it is too long for a manifest".into()));
        }
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|e| wrong(format!("it is no manifest: {e}")))?;
        match (value.get("kind").and_then(|k| k.as_str()), value.get("format").and_then(|f| f.as_u64())) {
            (Some(KIND), Some(v)) if v == u64::from(VERSION) => {}
            (Some(KIND), Some(v)) => {
                return Err(wrong(format!("it is a manifest of version {v}, this program reads {VERSION}")));
            }
            _ => return Err(wrong("it is no manifest".into())),
        }
        serde_json::from_value(value).map_err(|e| wrong(format!("it is a manifest that is broken: {e}")))
    }
}
