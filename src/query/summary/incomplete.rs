//! Why an answer is not complete: one list, typed, with classes, times and counts. Owns what counts as complete: that nothing is known to be
//! missing but what the policy leaves out (cutoff, filter of the recording, sampling).

use super::Summary;
use crate::ledger::GapCause;
use crate::limits::INCOMPLETE_LISTED;
use crate::shape::{Count, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that an answer lacks, or may lack. In JSON the field `why` names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum IncompleteReason {
    /// Packets of this class and of these times have expired.
    Expired {
        /// The class; `None`: nobody knows which (a ledger of version 0.1).
        class: Option<String>,
        /// The first that has expired, or the window's begin.
        #[serde(with = "Time")]
        from: u64,
        /// The last that has expired, or the window's end.
        #[serde(with = "Time")]
        to: u64,
    },
    /// Segments expired while the answer was made.
    ExpiredMeanwhile {
        /// How many.
        #[serde(with = "Count")]
        segments: u64,
    },
    /// Packets were lost in the window.
    Lost {
        /// A cause of the account: `disk_stall`, `ring_full`, `passed` (the host had them: no socket was in place), ...
        cause: String,
        /// Where: an interface, a worker, a capture file.
        place: String,
        /// Of which class; `None`: they were lost before they had one, or it is not known.
        class: Option<String>,
        /// How many.
        #[serde(with = "Count")]
        packets: u64,
    },
    /// No recorder ran.
    NotRecorded {
        /// From.
        #[serde(with = "Time")]
        from: u64,
        /// To, exclusive.
        #[serde(with = "Time")]
        to: u64,
        /// Why.
        cause: GapCause,
    },
    /// An interface had no link: what passed is not known.
    LinkDown {
        /// Its name.
        interface: String,
        /// From.
        #[serde(with = "Time")]
        from: u64,
        /// To, exclusive.
        #[serde(with = "Time")]
        to: u64,
    },
    /// An import was killed, stopped, or a capture file broke off: of what was not read nobody knows the times.
    ImportCutShort {
        /// When it began.
        #[serde(with = "Time")]
        since: u64,
    },
    /// The window goes on into the future.
    NotYet {
        /// From: when the answer was made.
        #[serde(with = "Time")]
        from: u64,
        /// To: the window's end.
        #[serde(with = "Time")]
        to: u64,
    },
    /// What can't be read: `retrotap verify` names it.
    Damaged {
        /// Segments of which nothing could be read.
        #[serde(with = "Count")]
        segments: u64,
        /// Blocks.
        #[serde(with = "Count")]
        blocks: u64,
        /// Packets.
        #[serde(with = "Count")]
        packets: u64,
    },
    /// More would have matched than were asked for.
    Limited,
    /// The recorder ended before the follower did.
    RecorderEnded,
    /// Only memory was asked, and it does not reach back so far.
    BeyondMemory {
        /// Class whose packets may be missing; `None`: any.
        class: Option<String>,
        /// From this time on memory has all packets.
        #[serde(with = "Time")]
        from: u64,
    },
    /// The recorder did not say in time whether connections run: what was cut of them is not known.
    RunningUnknown {
        /// Of how many.
        #[serde(with = "Count")]
        connections: u64,
    },
    /// More connections were met than one answer counts: all figures of connections, and of what was cut of them, are at least so high.
    Uncounted {
        /// Packets of the answer whose connections are not counted.
        #[serde(with = "Count")]
        packets: u64,
        /// Receipts that were not looked at: what they tell is not in the figures.
        #[serde(with = "Count")]
        receipts: u64,
    },
    /// libpcap refuses the expression for a link type: its packets were not asked.
    Refused {
        /// What libpcap calls the link type.
        link_type: String,
        /// Packets in segments of the window, at most; 0: not known.
        #[serde(with = "Count")]
        packets: u64,
    },
    /// Something that this program does not know: the recorder is newer.
    #[serde(other)]
    Unknown,
}

impl IncompleteReason {
    /// The ledger tells it, and tells more of it later: entries come later than packets.
    pub fn of_ledger(&self) -> bool {
        use IncompleteReason as I;
        matches!(self, I::Lost { .. } | I::NotRecorded { .. } | I::LinkDown { .. } | I::ImportCutShort { .. })
    }

    /// It follows from other figures of the summary.
    fn of_figures(&self) -> bool {
        use IncompleteReason as I;
        matches!(
            self,
            I::ExpiredMeanwhile { .. }
                | I::Damaged { .. }
                | I::Limited
                | I::RecorderEnded
                | I::RunningUnknown { .. }
                | I::Uncounted { .. }
                | I::Refused { .. }
        )
    }
}

impl Summary {
    /// Notes something that is missing. Of more than [`INCOMPLETE_LISTED`] only the number is kept.
    pub(in crate::query) fn lacks(&mut self, reason: IncompleteReason) {
        if self.incomplete.len() < INCOMPLETE_LISTED {
            self.incomplete.push(reason);
        } else {
            self.incomplete_more += 1;
        }
    }

    /// False: its figures of connections are only known to be at least so high.
    pub fn counts_all_connections(&self) -> bool {
        self.uncounted_packets + self.uncounted_receipts == 0
    }

    /// Says whether it is complete, by its figures and what was noted. May be asked again when figures have changed.
    pub fn concluded(mut self) -> Summary {
        self.incomplete.retain(|r| !r.of_figures());
        let noted = std::mem::take(&mut self.incomplete);
        use IncompleteReason as I;
        let (segments, blocks, packets) = (self.damaged_segments, self.damaged_blocks, self.damaged_packets);
        let (unknown, uncounted, receipts) = (self.running_unknown, self.uncounted_packets, self.uncounted_receipts);
        let figures = [
            self.limited.then_some(I::Limited),
            self.recorder_ended.then_some(I::RecorderEnded),
            (self.expired_segments > 0).then_some(I::ExpiredMeanwhile { segments: self.expired_segments }),
            (segments + blocks + packets > 0).then_some(I::Damaged { segments, blocks, packets }),
            (unknown > 0).then_some(I::RunningUnknown { connections: unknown }),
            (uncounted + receipts > 0).then_some(I::Uncounted { packets: uncounted, receipts }),
        ];
        let refused: Vec<I> =
            self.refused.iter().map(|r| I::Refused { link_type: r.name.clone(), packets: r.packets }).collect();
        figures.into_iter().flatten().chain(refused).chain(noted).for_each(|r| self.lacks(r));
        self.complete = self.incomplete.is_empty() && self.incomplete_more == 0;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_is_what_lacks_nothing() {
        assert!(Summary::default().concluded().complete);
        let cut = Summary { cut_packets: 5, damaged_indexes: 1, open_connections: 2, ..Summary::default() };
        assert!(cut.concluded().complete, "policy takes no packet that was asked for, and an index holds none");
        let limited = Summary { limited: true, ..Summary::default() }.concluded();
        assert_eq!((limited.complete, &limited.incomplete[..]), (false, &[IncompleteReason::Limited][..]));
        let again = Summary { limited: false, ..limited }.concluded();
        assert!(again.complete, "figures are looked at anew");
    }

    #[test]
    fn reasons_are_bounded_and_counted() {
        let mut s = Summary { limited: true, ..Summary::default() };
        for n in 0..INCOMPLETE_LISTED as u64 + 10 {
            s.lacks(IncompleteReason::NotRecorded { from: n, to: n + 1, cause: GapCause::Killed });
        }
        let s = s.concluded();
        assert_eq!((s.incomplete.len(), s.incomplete_more, s.complete), (INCOMPLETE_LISTED, 11, false));
        assert_eq!(s.incomplete.first(), Some(&IncompleteReason::Limited));
    }

    #[test]
    fn a_reason_of_a_newer_recorder_is_still_one() {
        let text = r#"{"complete": false, "incomplete": [{"why": "eaten", "by": "mice"}]}"#;
        let s: Summary = serde_json::from_str(text).unwrap();
        assert_eq!(s.incomplete, [IncompleteReason::Unknown]);
    }
}
