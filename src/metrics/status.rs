//! What a recorder says of itself, as programs read it: the objects of `record --json`, `/v1/status` and `/v1/classes`. Owns their fields;
//! `record` fills them in, the API sends them, the command line reads them.

use super::account::Account;
use super::latency::Quantiles;
use crate::memory::page_bytes;
use crate::shape::{Count, Each, Maybe, Seconds, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The connection tables of all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ConnectionTables")]
pub struct Connections {
    /// Tracked now.
    #[serde(with = "Count")]
    pub tracked: u64,
    /// Begun since the start.
    #[serde(with = "Count")]
    pub begun: u64,
    /// Ended since the start.
    #[serde(with = "Count")]
    pub ended: u64,
    /// Counts that started anew.
    #[serde(with = "Count")]
    pub renewed: u64,
    /// Packets whose connection found no place in the table.
    #[serde(with = "Count")]
    pub table_full: u64,
    /// Connections that nobody has answered.
    #[serde(with = "Count")]
    pub one_sided: u64,
    /// Packets of connections that a flood's limits kept out: dropped, or stored untracked.
    #[serde(with = "Count")]
    pub flood_refused: u64,
    /// Sources that have as many one-sided connections open as they may.
    #[serde(with = "Count")]
    pub flooding: u64,
    /// Whom most of what was refused came from, while one floods.
    pub flood_source: Option<IpAddr>,
    /// One-sided connections take what they may of a table.
    pub crowded: bool,
    /// In the shunt now.
    #[serde(with = "Count")]
    pub shunted: u64,
}

/// How long things take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// A worker's work on a batch.
    pub step: Quantiles,
    /// From arrival to durable, the oldest packet of each block.
    pub durable: Quantiles,
    /// From arrival until a question finds it, the oldest packet of each block.
    pub queryable: Quantiles,
}

/// Recent blocks in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecentBlocks {
    /// Taken in since the start.
    #[serde(with = "Count")]
    pub blocks: u64,
    /// Not taken in: on disk only.
    #[serde(with = "Count")]
    pub missed_blocks: u64,
}

/// The counters since the start: each packet is in one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counters {
    /// When they were read.
    #[serde(with = "Time")]
    pub time: u64,
    /// Since the start.
    #[serde(with = "Seconds")]
    pub uptime_seconds: u64,
    /// Every packet ends in one counter.
    #[serde(flatten)]
    pub account: Account,
    /// Packets lost, before the worker and in it.
    #[serde(with = "Count")]
    pub lost_packets: u64,
    /// Packets lost before the source saw them, by the interfaces' own counters.
    #[serde(with = "Count")]
    pub nic_lost_packets: u64,
    /// The connection tables.
    pub connections: Connections,
    /// Recent blocks in memory; null: there is no such memory.
    pub recent: Option<RecentBlocks>,
    /// How long things take.
    pub latency: Latency,
}

/// What the disk holds of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClassHolding {
    /// Its name.
    pub class: String,
    /// Segments, those being written included.
    #[serde(with = "Count")]
    pub segments: u64,
    /// Their bytes on the disk, with their indexes.
    #[serde(with = "Count")]
    pub disk_bytes: u64,
    /// Time of its oldest sealed packet; null: there is none.
    #[serde(with = "Maybe::<Time>")]
    pub oldest: Option<u64>,
    /// When its oldest sealed segment was recorded, by the clock of then.
    #[serde(with = "Maybe::<Time>")]
    pub oldest_recorded: Option<u64>,
    /// How much past its budget will hold, by what it holds now; null: it has no budget, or nothing to tell it by.
    #[serde(with = "Maybe::<Seconds>")]
    pub budget_holds_seconds: Option<u64>,
}

/// `record --json`: the recorder at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RecorderReport")]
pub struct Report {
    /// `interval`, one every --log-interval; `final`, the last.
    pub kind: ReportKind,
    /// The counters.
    #[serde(flatten)]
    pub counters: Counters,
    /// What is held of each class.
    pub classes: Vec<ClassHolding>,
}

/// Which report it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportKind {
    /// One of many.
    Interval,
    /// The last: nothing is on its way any more, and the sums are exact.
    Final,
}

/// Packets and bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Packets a second.
    pub packets_per_second: f64,
    /// Bytes on the wire a second.
    pub bytes_per_second: f64,
}

/// Rates of the last second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rates {
    /// All that the source saw.
    pub seen: Rate,
    /// Dropped in the kernel, past the cutoff.
    pub shunted: Rate,
    /// Taken by the workers.
    pub received: Rate,
    /// Stored.
    pub stored: Rate,
    /// Packets lost a second.
    pub lost_packets_per_second: f64,
}

/// Shares of what was seen that were stored, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Kept {
    /// Of the packets.
    pub packets_share: f64,
    /// Of the bytes.
    pub bytes_share: f64,
}

/// A class of a recorder: what it holds, and how long that lasts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Class")]
pub struct ClassState {
    /// What the disk holds of it.
    #[serde(flatten)]
    pub holding: ClassHolding,
    /// Its own disk budget; null: it shares what is left of the store's.
    #[serde(with = "Maybe::<Count>")]
    pub budget_bytes: Option<u64>,
    /// What it and those that share with it may take; without a budget what the disk has.
    #[serde(with = "Maybe::<Count>")]
    pub room_bytes: Option<u64>,
    /// How fast it grows on the disk, over the last minute.
    pub growth_bytes_per_second: f64,
    /// How far back it reaches at this rate once its room is full; null: it does not grow.
    pub holds_seconds: Option<f64>,
    /// Until its oldest packets begin to go, at this rate; 0: they do.
    pub left_seconds: Option<f64>,
    /// Its latest packets in memory.
    #[serde(with = "Count")]
    pub memory_bytes: u64,
    /// Memory of its own; null: it shares what is left of the memory of recent packets.
    #[serde(with = "Maybe::<Count>")]
    pub memory_budget_bytes: Option<u64>,
    /// Time of its oldest packet in memory.
    #[serde(with = "Maybe::<Time>")]
    pub memory_since: Option<u64>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessMemory {
    /// Number of the process.
    pub pid: u32,
    /// Memory of the process that is in use; 0: the system does not tell.
    #[serde(with = "Count")]
    pub resident_bytes: u64,
}

impl ProcessMemory {
    /// This one, now.
    pub fn this() -> ProcessMemory {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: u64 = text.split(' ').nth(1).and_then(|p| p.parse().ok()).unwrap_or(0);
        ProcessMemory { pid: std::process::id(), resident_bytes: pages * page_bytes() as u64 }
    }
}

/// A recorder, a second ago at most: what `record` gives the API to tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecorderState {
    /// When the recording began.
    #[serde(with = "Time")]
    pub started: u64,
    /// Its process.
    #[serde(flatten)]
    pub process: ProcessMemory,
    /// Of the last second.
    pub rates: Rates,
    /// Since the start.
    pub kept: Kept,
    /// Packets lost since the start, by cause: those causes that lost something.
    #[serde(with = "Each::<Count>")]
    pub lost_by_cause: BTreeMap<String, u64>,
    /// Memory that was set aside at the start, by part: it is in use as far as it has been needed.
    #[serde(with = "Each::<Count>")]
    pub memory_bytes: BTreeMap<String, u64>,
    /// The counters.
    #[serde(flatten)]
    pub counters: Counters,
    /// The classes.
    pub classes: Vec<ClassState>,
}
