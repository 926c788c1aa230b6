//! What a follower has given so far: told beside its cursor, so that whoever goes on elsewhere has the figures of what came before. Owns the sum of
//! a summary and of what was given before it.

use super::Summary;
use crate::shape::{Count, Maybe, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Figures of a follower up to its cursor; what connections they are is only known at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SoFar {
    /// Packets given.
    #[serde(with = "Count")]
    pub packets: u64,
    /// Their bytes on the wire.
    #[serde(with = "Count")]
    pub bytes: u64,
    /// Time of the earliest.
    #[serde(with = "Maybe::<Time>")]
    pub first: Option<u64>,
    /// Time of the latest.
    #[serde(with = "Maybe::<Time>")]
    pub last: Option<u64>,
    /// Packets that were given after newer ones.
    #[serde(rename = "late_packets", with = "Count")]
    pub late: u64,
    /// Segments that expired before they were read.
    #[serde(with = "Count")]
    pub expired_segments: u64,
    /// Segments that can't be read.
    #[serde(with = "Count")]
    pub damaged_segments: u64,
    /// Blocks.
    #[serde(with = "Count")]
    pub damaged_blocks: u64,
    /// Packets.
    #[serde(with = "Count")]
    pub damaged_packets: u64,
    /// Indexes.
    #[serde(with = "Count")]
    pub damaged_indexes: u64,
}

impl SoFar {
    /// What could not be read.
    pub(in crate::query) fn lacking(s: &Summary) -> SoFar {
        SoFar {
            expired_segments: s.expired_segments,
            damaged_segments: s.damaged_segments,
            damaged_blocks: s.damaged_blocks,
            damaged_packets: s.damaged_packets,
            damaged_indexes: s.damaged_indexes,
            ..SoFar::default()
        }
    }

    /// The same with what was given.
    pub(in crate::query) fn with(self, s: &Summary) -> SoFar {
        SoFar { packets: s.packets, bytes: s.bytes, first: s.first, last: s.last, late: s.late, ..self }
    }

    /// With what was given after it.
    pub fn and(self, later: SoFar) -> SoFar {
        SoFar {
            packets: self.packets.saturating_add(later.packets),
            bytes: self.bytes.saturating_add(later.bytes),
            first: self.first.into_iter().chain(later.first).min(),
            last: self.last.max(later.last),
            late: self.late.saturating_add(later.late),
            expired_segments: self.expired_segments.saturating_add(later.expired_segments),
            damaged_segments: self.damaged_segments.saturating_add(later.damaged_segments),
            damaged_blocks: self.damaged_blocks.saturating_add(later.damaged_blocks),
            damaged_packets: self.damaged_packets.saturating_add(later.damaged_packets),
            damaged_indexes: self.damaged_indexes.saturating_add(later.damaged_indexes),
        }
    }
}

impl Summary {
    /// Of all that was given: this is of what came after `before`. Of what connections the packets before were nobody knows any more: figures of
    /// connections are at least so high.
    pub fn after(mut self, before: SoFar) -> Summary {
        let all = before.and(SoFar::lacking(&self).with(&self));
        (self.packets, self.bytes, self.first, self.last, self.late) =
            (all.packets, all.bytes, all.first, all.last, all.late);
        self.expired_segments = all.expired_segments;
        self.damaged_segments = all.damaged_segments;
        self.damaged_blocks = all.damaged_blocks;
        self.damaged_packets = all.damaged_packets;
        self.damaged_indexes = all.damaged_indexes;
        self.uncounted_packets = self.uncounted_packets.saturating_add(before.packets);
        self.concluded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::IncompleteReason as I;

    #[test]
    fn what_came_before_is_in_the_sum() {
        let before = SoFar { packets: 5, bytes: 50, first: Some(1), last: Some(9), late: 1, ..SoFar::default() };
        let before = SoFar { expired_segments: 2, damaged_blocks: 3, ..before };
        let later = Summary {
            packets: 2,
            bytes: 20,
            first: Some(8),
            last: Some(12),
            late: 1,
            connections: 2,
            ..Summary::default()
        };
        let s = Summary { expired_segments: 1, ..later }.concluded().after(before);
        assert_eq!((s.packets, s.bytes, s.first, s.last, s.late), (7, 70, Some(1), Some(12), 2));
        assert_eq!((s.expired_segments, s.damaged_blocks, s.connections, s.uncounted_packets), (3, 3, 2, 5));
        let told = [
            I::ExpiredMeanwhile { segments: 3 },
            I::Damaged { segments: 0, blocks: 3, packets: 0 },
            I::Uncounted { packets: 5, receipts: 0 },
        ];
        assert_eq!((s.complete, &s.incomplete[..]), (false, &told[..]));
        // Nothing came before: it is as it was.
        let alone = Summary { packets: 1, first: Some(3), ..Summary::default() }.concluded();
        assert_eq!(alone.clone().after(SoFar::default()), alone);
    }
}
