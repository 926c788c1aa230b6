//! What an answer says of itself: how much it is, and what is missing from it: cut, lost, not recorded, expired, damaged. Owns the
//! figures; made by the executor from packets, receipts, ledger and, in the recorder's own process, what its workers know of connections
//! that run; shown by the CLI.

mod bounded;
mod connections;
mod incomplete;
mod met;
mod missing;
mod nothing;
mod so_far;
#[cfg(test)]
mod tests;

pub use incomplete::IncompleteReason;
pub use met::{Met, MetPacket};
pub use missing::{beyond_memory, expired_of, from_ledger, rest_of_ledger};
pub use nothing::{NothingFound, StoredTimes, WindowPlace};
pub use so_far::SoFar;

use crate::limits::DAMAGE_NAMED;
use crate::shape::{Count, Maybe, Seconds, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How the answer was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pruning {
    /// Segments of the store.
    #[serde(with = "Count")]
    pub segments: u64,
    /// Runs of blocks in memory.
    #[serde(with = "Count")]
    pub runs: u64,
    /// Of these, of another class.
    #[serde(with = "Count")]
    pub by_class: u64,
    /// Outside of the window.
    #[serde(with = "Count")]
    pub by_time: u64,
    /// Ruled out by their address filter.
    #[serde(with = "Count")]
    pub by_filter: u64,
    /// Ruled out by their index.
    #[serde(with = "Count")]
    pub by_index: u64,
    /// Of other interfaces.
    pub by_interface: u64,
    /// Scanned because they have no index yet.
    #[serde(with = "Count")]
    pub without_index: u64,
    /// Packets that libpcap had to look at.
    #[serde(with = "Count")]
    pub candidates: u64,
    /// Bytes of segments read.
    #[serde(rename = "read_bytes", with = "Count")]
    pub bytes_read: u64,
}

/// Where a segment can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DamagedPlace")]
pub struct Place {
    /// The file.
    pub segment: String,
    /// Offset of the damaged block, or of the packet.
    #[serde(rename = "offset_bytes", alias = "offset", with = "Count")]
    pub offset: u64,
}

/// A link type for which libpcap refuses the expression: its packets were not asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RefusedLinkType")]
pub struct Refused {
    /// LINKTYPE_*.
    pub link_type: u16,
    /// What libpcap calls it.
    pub name: String,
    /// Interfaces that have it, the first few.
    pub interfaces: Vec<String>,
    /// Packets in segments of the window, at most; 0: not known.
    #[serde(with = "Count")]
    pub packets: u64,
    /// libpcap's reason.
    pub error: String,
}

/// An answer's figures. Bytes are lengths on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Summary {
    /// Packets in the answer.
    #[serde(with = "Count")]
    pub packets: u64,
    /// Their bytes.
    #[serde(with = "Count")]
    pub bytes: u64,
    /// Connections that they are of.
    #[serde(with = "Count")]
    pub connections: u64,
    /// Time of the first packet.
    #[serde(with = "Maybe::<Time>")]
    pub first: Option<u64>,
    /// Time of the last.
    #[serde(with = "Maybe::<Time>")]
    pub last: Option<u64>,
    /// More would have matched.
    pub limited: bool,
    /// Of a follower: it ended because the recorder did.
    pub recorder_ended: bool,
    /// Of a follower: packets that were given out after newer ones, because they came so late.
    #[serde(rename = "late_packets", alias = "late", with = "Count")]
    pub late: u64,
    /// The window asked for.
    #[serde(with = "Maybe::<Time>")]
    pub since: Option<u64>,
    /// Its end.
    #[serde(with = "Maybe::<Time>")]
    pub until: Option<u64>,
    /// Of the connections, those past their cutoff.
    #[serde(with = "Count")]
    pub cut_connections: u64,
    /// Packets of these connections that were not stored.
    #[serde(with = "Count")]
    pub cut_packets: u64,
    /// Their bytes.
    #[serde(with = "Count")]
    pub cut_bytes: u64,
    /// Of the connections, those that run, as the recorder says: what is cut of them is in the figures, as it was a second ago at most.
    #[serde(with = "Count")]
    pub running_connections: u64,
    /// Connections of which neither a receipt nor the recorder tells: they last, or their receipts have expired. What was cut of them is
    /// not in the figures.
    #[serde(with = "Count")]
    pub open_connections: u64,
    /// Connections that may run, of which the recorder did not say so in time: what is cut of them now is not in the figures.
    #[serde(with = "Count")]
    pub running_unknown: u64,
    /// Packets of the answer whose connections are not counted: there are more than one answer may have in memory, or a follower gave them before its
    /// connection broke. All figures of connections are at least so high.
    #[serde(with = "Count")]
    pub uncounted_packets: u64,
    /// Receipts that were not looked at for the same reason.
    #[serde(with = "Count")]
    pub uncounted_receipts: u64,
    /// Nothing is known to be missing but what the policy leaves out: cutoff, filter of the recording, sampling.
    pub complete: bool,
    /// What is missing, or may be: the first reasons.
    pub incomplete: Vec<IncompleteReason>,
    /// How many reasons more there are.
    #[serde(with = "Count")]
    pub incomplete_more: u64,
    /// Segments that expired while the answer was made.
    #[serde(with = "Count")]
    pub expired_segments: u64,
    /// Segments, blocks, packets and indexes that are damaged: `retrotap verify` names them.
    #[serde(with = "Count")]
    pub damaged_segments: u64,
    /// Blocks.
    #[serde(with = "Count")]
    pub damaged_blocks: u64,
    /// Packets.
    #[serde(with = "Count")]
    pub damaged_packets: u64,
    /// Indexes; their segments were scanned.
    #[serde(with = "Count")]
    pub damaged_indexes: u64,
    /// Where blocks and packets are damaged: the first that were met.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<Place>,
    /// Link types whose packets the expression can't be asked of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// The answer is empty, but inside tags or tunnels there are packets that match: ask with `--any-layer`.
    pub try_any_layer: bool,
    /// Of an empty answer: what there would have been to find.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nothing: Option<NothingFound>,
    /// The answer is empty, but connections behind IPv6 extension headers, where libpcap does not look, match by their keys.
    pub behind_extensions: bool,
    /// What of the question segments were ruled out by, as the planner understands it.
    pub plan: String,
    /// Parts of the expression that rule out nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// How it was found.
    pub pruning: Pruning,
    /// Time it took.
    #[serde(rename = "elapsed_seconds", with = "Seconds")]
    pub elapsed_ns: u64,
    /// When it was asked, Unix ns: a window without an end goes up to here.
    #[serde(skip)]
    pub asked_at: u64,
    /// Of each class asked for its oldest and its newest packet, of all that was looked at.
    #[serde(skip)]
    pub stored: Vec<(String, u64, u64)>,
}

impl Summary {
    /// Notes what a segment of this class holds.
    pub(in crate::query) fn saw(&mut self, class: &str, packets: u64, first: u64, last: u64) {
        if packets == 0 {
            return;
        }
        match self.stored.iter_mut().find(|(c, ..)| c == class) {
            Some((_, f, l)) => (*f, *l) = ((*f).min(first), (*l).max(last)),
            None => self.stored.push((class.to_owned(), first, last)),
        }
    }

    /// Oldest packet of the store, of all that was looked at.
    pub(in crate::query) fn store_first(&self) -> Option<u64> {
        self.stored.iter().map(|(_, first, _)| *first).min()
    }

    /// The newest.
    pub(in crate::query) fn store_last(&self) -> Option<u64> {
        self.stored.iter().map(|(.., last)| *last).max()
    }

    /// Names a place that can't be read.
    pub(in crate::query) fn damaged_at(&mut self, segment: &Path, offset: u64) {
        if self.damage.len() < DAMAGE_NAMED {
            self.damage.push(Place { segment: segment.display().to_string(), offset });
        }
    }

    /// Takes in what was found when the same was looked at once more: damage that was met both times is one.
    pub(in crate::query) fn again(&mut self, other: Summary) {
        self.expired_segments = self.expired_segments.max(other.expired_segments);
        self.damaged_segments = self.damaged_segments.max(other.damaged_segments);
        self.damaged_blocks = self.damaged_blocks.max(other.damaged_blocks);
        self.damaged_packets = self.damaged_packets.max(other.damaged_packets);
        self.damaged_indexes = self.damaged_indexes.max(other.damaged_indexes);
        let room = DAMAGE_NAMED.saturating_sub(self.damage.len());
        let new: Vec<Place> = other.damage.into_iter().filter(|p| !self.damage.contains(p)).take(room).collect();
        self.damage.extend(new);
    }

    /// Takes in what was found beside this one: pruning and damage.
    pub(in crate::query) fn absorb(&mut self, other: Summary) {
        self.expired_segments += other.expired_segments;
        self.damaged_segments += other.damaged_segments;
        self.damaged_blocks += other.damaged_blocks;
        self.damaged_packets += other.damaged_packets;
        self.damaged_indexes += other.damaged_indexes;
        let room = DAMAGE_NAMED.saturating_sub(self.damage.len());
        self.damage.extend(other.damage.into_iter().take(room));
        let (own, other) = (&mut self.pruning, other.pruning);
        own.by_filter += other.by_filter;
        own.by_index += other.by_index;
        own.candidates += other.candidates;
        own.bytes_read += other.bytes_read;
    }
}
