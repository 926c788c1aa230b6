//! One entry of the ledger: a line of JSON.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// An entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Unix time, ns.
    pub t: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

impl Entry {
    /// When the packets of a loss arrived, first and last, Unix ns; `None`: it is none.
    pub fn lost_between(&self) -> Option<(u64, u64)> {
        match self.what {
            What::Loss { span, .. } => Some(span.unwrap_or((self.t, self.t.saturating_add(SECOND - 1)))),
            _ => None,
        }
    }
}

const SECOND: u64 = 1_000_000_000;

/// What happened. In JSON the field `what` names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// Recording begins.
    Started {
        /// Version of the program.
        version: String,
        /// `xdp`, `packet` or `file`: a file's packets are of another time, so its recording covers none.
        source: String,
        /// The configuration in force.
        config: serde_json::Value,
    },
    /// Another configuration is in force.
    Configuration {
        /// As in `started`.
        config: serde_json::Value,
    },
    /// Recording ends in order.
    Stopped,
    /// The recorder before this one was killed; found at the next start. Its coverage ends at `alive`.
    Killed {
        /// Its last sign of life, Unix ns.
        alive: u64,
    },
    /// First line of a later day's file: recording goes on since then. Makes each file readable without the one before.
    Continues {
        /// When recording began, Unix ns.
        since: u64,
        /// As in `started`.
        source: String,
    },
    /// Packets lost in the second that begins at `t`.
    Loss {
        /// A cause of the account: `disk_stall`, `ring_full`, `rx_missed`, ...
        cause: String,
        /// Where: an interface, a worker.
        place: String,
        /// Of which class; `None`: they were lost before they had one, or it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<String>,
        /// How many.
        packets: u64,
        /// When they arrived, first and last, Unix ns, if that was not in the second that begins at `t`: what is found out later. From 0
        /// to `u64::MAX`: it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        span: Option<(u64, u64)>,
    },
    /// An interface lost its link: what passes is not seen.
    LinkDown {
        /// Its name.
        interface: String,
    },
    /// An interface has its link again.
    LinkUp {
        /// Its name.
        interface: String,
    },
    /// Packet time made a step.
    ClockStep {
        /// By so many ns.
        by: i64,
    },
    /// The disk refused something.
    DiskError {
        /// What.
        text: String,
    },
    /// The disk works again.
    DiskRecovered,
    /// Connections that are not tracked: the table is full, or the limits on those that nobody answers are reached.
    Flood {
        /// The worker.
        worker: u16,
        /// Their packets, stored untracked or dropped, in the second that begins at `t`.
        packets: u64,
        /// Whom most of them came from, where one source has too many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<IpAddr>,
    },
    /// A capture file has been read to its end, or as far as it could be.
    Imported {
        /// Its name.
        file: String,
        /// Packets read.
        packets: u64,
        /// Their lengths on the wire.
        bytes: u64,
        /// Earliest and latest packet, Unix ns.
        first: u64,
        /// See `first`.
        last: u64,
    },
    /// A segment was dropped to keep the disk budget.
    Expired {
        /// Its class; `None`, in entries of version 0.1: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<String>,
        /// Time of its first packet, Unix ns.
        first: u64,
        /// Time of its last packet, Unix ns; `None`: not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<u64>,
    },
    /// Capture files were not read to their end: the import was stopped, or one of them broke off.
    Unread {
        /// Which, or how much.
        text: String,
    },
    /// Anything else worth keeping.
    Note {
        /// What.
        text: String,
    },
}
