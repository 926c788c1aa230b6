//! The receipt: what is known of a connection when it ends, and each hour while it lasts. Made by the tracker, written
//! and read by the ledger; outlives the packets.

use super::stats::TrackerStats;
use crate::packet::key::Key;
use std::collections::VecDeque;

/// Why a receipt was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// Not ended: the hourly receipt of one that lasts. Totals are since its beginning.
    Lasting = 0,
    /// RST.
    Reset = 1,
    /// FIN of both directions.
    Closed = 2,
    /// Silent longer than its class allows.
    Idle = 3,
    /// A new SYN took the tuple.
    Replaced = 4,
    /// The recorder stopped.
    Stopped = 5,
}

/// Totals of one connection; bytes are frame lengths on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its name.
    pub key: Key,
    /// Unix time of the earliest packet, ns.
    pub first: u64,
    /// Unix time of the last packet, shunted ones included, ns.
    pub last: u64,
    /// Packets seen, shunted included.
    pub seen_packets: u64,
    /// Bytes seen, shunted included.
    pub seen_bytes: u64,
    /// Packets stored.
    pub stored_packets: u64,
    /// Bytes of stored packets.
    pub stored_bytes: u64,
    /// Why now.
    pub end: End,
    /// Storage class.
    pub class: u8,
    /// Which endpoint of the key began it: by its flags, else by the time of its packets.
    pub originator: u8,
    /// A packet came after its cutoff was reached: what was seen and not stored is missing.
    pub cut: bool,
}

/// What the workers say of a connection that may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookedUp {
    /// Nobody has said.
    Unknown,
    /// It does not run.
    Absent,
    /// It runs: what a receipt would have now.
    Runs(Receipt),
}

#[cfg(test)]
impl Receipt {
    /// Of one packet, for tests.
    pub(crate) fn of_one(key: Key, first: u64, last: u64) -> Receipt {
        Receipt {
            key,
            first,
            last,
            seen_packets: 1,
            seen_bytes: 60,
            stored_packets: 1,
            stored_bytes: 60,
            end: End::Idle,
            class: 0,
            originator: 0,
            cut: false,
        }
    }
}

/// Receipts on their way out of a tracker: a buffer that never grows.
#[derive(Debug)]
pub(super) struct Outgoing {
    waiting: VecDeque<Receipt>,
    most: usize,
}

impl Outgoing {
    /// Takes and touches the memory for `most` receipts.
    pub(super) fn new(most: usize) -> Outgoing {
        let none = Receipt {
            key: Key::V4(Default::default()),
            first: u64::MAX,
            last: u64::MAX,
            seen_packets: u64::MAX,
            seen_bytes: u64::MAX,
            stored_packets: u64::MAX,
            stored_bytes: u64::MAX,
            end: End::Stopped,
            class: u8::MAX,
            originator: 0,
            cut: false,
        };
        let mut waiting = VecDeque::with_capacity(most);
        waiting.resize(most, none);
        waiting.clear();
        Outgoing { waiting, most }
    }

    /// Bytes that [`new`](Outgoing::new) takes.
    pub(super) fn bytes(most: usize) -> usize {
        most * size_of::<Receipt>()
    }

    /// True if there is room for one more.
    pub(super) fn room(&self) -> bool {
        self.room_for(1)
    }

    /// True if there is room for `n` more.
    pub(super) fn room_for(&self, n: usize) -> bool {
        self.waiting.len() + n <= self.most
    }

    /// Takes a receipt, or counts it as lost.
    pub(super) fn push(&mut self, receipt: Receipt, stats: &mut TrackerStats) {
        stats.receipts += 1;
        if self.room() {
            self.waiting.push_back(receipt);
        } else {
            stats.receipts_lost += 1;
        }
    }

    /// The oldest.
    pub(super) fn pop(&mut self) -> Option<Receipt> {
        self.waiting.pop_front()
    }
}
