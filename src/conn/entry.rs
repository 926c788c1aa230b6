//! One connection in the table: 64 bytes beside its key. Owns the packing; knows no rule. Called by the tracker.
//!
//! Numbers take the bytes that they can need: times are ns since the connection's first packet (7 bytes: 833 days, after
//! which the tracker begins a new connection), bytes 7 (72 PB), packets 6. A counter at its end stays there.

use super::receipt::{End, Receipt};
use super::shunt::{ShuntCounts, ShuntSlot};
use crate::class::ClassId;
use crate::limits::CLASSES_MAX;
use crate::packet::key::{Key, Key4, Key6, Tail};

/// A key that a table is made for.
pub(super) trait TableKey: Copy + Eq {
    const NONE: Self;
    fn name(self) -> Key;
    fn tail(&self) -> &Tail;
    /// Both endpoints are one.
    fn is_loop(&self) -> bool;
}

impl TableKey for Key4 {
    const NONE: Key4 = Key4 { addr: [[0xFF; 4]; 2], tail: super::table::NO_TAIL };
    fn name(self) -> Key {
        Key::V4(self)
    }
    fn tail(&self) -> &Tail {
        &self.tail
    }
    fn is_loop(&self) -> bool {
        let ([a, b], [c, d]) = (self.addr, self.tail.port);
        a == b && c == d
    }
}

impl TableKey for Key6 {
    const NONE: Key6 = Key6 { addr: [[0xFF; 16]; 2], tail: super::table::NO_TAIL };
    fn name(self) -> Key {
        Key::V6(self)
    }
    fn tail(&self) -> &Tail {
        &self.tail
    }
    fn is_loop(&self) -> bool {
        let ([a, b], [c, d]) = (self.addr, self.tail.port);
        a == b && c == d
    }
}

/// An unsigned number of `N` bytes; saturates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Small<const N: usize>([u8; N]);

impl<const N: usize> Small<N> {
    const MAX: u64 = (1 << (8 * N)) - 1;

    #[inline(always)]
    fn get(self) -> u64 {
        let mut wide = [0; 8];
        if let Some(low) = wide.first_chunk_mut::<N>() {
            *low = self.0;
        }
        u64::from_le_bytes(wide)
    }

    #[inline(always)]
    fn new(value: u64) -> Small<N> {
        let wide = value.min(Self::MAX).to_le_bytes();
        Small(wide.first_chunk::<N>().copied().unwrap_or([0xFF; N]))
    }

    #[inline(always)]
    fn add(&mut self, n: u64) {
        *self = Small::new(self.get().saturating_add(n));
    }
}

/// Longest time that an entry can express.
pub(super) const AGE_MAX: u64 = Small::<7>::MAX;
/// A limit in bytes that is never reached; one below is the largest that can be.
pub(super) const NO_BYTE_LIMIT: u64 = Small::<5>::MAX;
/// The same in packets.
pub(super) const NO_PACKET_LIMIT: u64 = Small::<4>::MAX;

/// Where a connection is with its cutoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Below: what is left until it is reached; neither is 0.
    Storing {
        /// [`NO_BYTE_LIMIT`]: any number.
        bytes: u64,
        /// [`NO_PACKET_LIMIT`]: any number.
        packets: u64,
    },
    /// Reached.
    Past {
        /// SYN, FIN and RST stored since.
        controls: u8,
        /// Not before this Unix second (its low 32 bits) is the shunt tried again.
        retry: u32,
        /// Its place in the shunt, if [`SHUNTED`].
        slot: ShuntSlot,
    },
}

/// The cutoff is reached: [`Phase::Past`].
const PAST: u16 = 1;
/// RST or both FINs were seen; `mark` is when.
pub(super) const ENDED: u16 = 1 << 1;
/// A packet of the other side gave it its class: the originator's next one decides anew.
pub(super) const PROVISIONAL: u16 = 1 << 2;
/// FIN of endpoint 0; that of endpoint 1 is the next bit. Both of a connection that has [`ENDED`]: by them; else by RST.
pub(super) const FIN: u16 = 1 << 3;
/// `syn` is the number of the last SYN without ACK.
pub(super) const SYN_KNOWN: u16 = 1 << 5;
/// The kernel drops its packets; the slot is in the phase.
pub(super) const SHUNTED: u16 = 1 << 6;
/// A slot of it is retiring, whose counts will be added.
pub(super) const RETIRING: u16 = 1 << 7;
/// A packet came after the cutoff was reached.
pub(super) const CUT: u16 = 1 << 8;
/// Endpoint 1 began it.
pub(super) const FROM_ONE: u16 = 1 << 9;
/// Parity of the hour whose receipt was made last; of a connection that has [`ENDED`], which has no more of these: its count was renewed.
pub(super) const ODD_HOUR: u16 = 1 << 10;
/// An address of it gave it its class.
pub(super) const ASSIGNED: u16 = 1 << 11;
/// Its next packet gives it its class.
pub(super) const CLASSIFY: u16 = 1 << 12;
/// Its cutoff is suspended.
pub(super) const SUSPENDED: u16 = 1 << 13;
/// Its idle timeout is suspended.
pub(super) const HELD: u16 = 1 << 14;
/// Nobody has answered yet: it is counted for its source.
pub(super) const ONE_SIDED: u16 = 1 << 15;

/// Bits of a class's id; above them [`ACCEPTED`] and [`TOLD`].
const CLASS: u8 = CLASSES_MAX as u8 - 1;
/// A SYN-ACK has said who began it.
const ACCEPTED: u8 = 1 << 6;
/// An hourly receipt has named it by its first packet's time, which stays.
const TOLD: u8 = 1 << 7;
const _: () = assert!(CLASSES_MAX == 64, "two bits of a byte are left");

/// A connection.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Entry<K> {
    pub(super) key: K,
    /// Unix time of the earliest packet, ns.
    pub(super) first: u64,
    /// Sequence number of the last SYN without ACK, if [`SYN_KNOWN`].
    pub(super) syn: u32,
    pub(super) flags: u16,
    /// Its class, [`ACCEPTED`], [`TOLD`].
    class: u8,
    limit_bytes: Small<5>,
    limit_packets: Small<4>,
    last: Small<7>,
    mark: Small<7>,
    seen_bytes: Small<7>,
    unstored_bytes: Small<7>,
    seen_packets: Small<6>,
    unstored_packets: Small<6>,
}

const _: () = assert!(size_of::<Entry<Key4>>() == 88 && size_of::<Entry<Key6>>() == 112);

impl<K: TableKey> Entry<K> {
    /// What an unused place holds. Not zero, so that making a table touches its memory.
    pub(super) const NONE: Entry<K> = Entry {
        key: K::NONE,
        first: u64::MAX,
        syn: 0,
        flags: 0,
        class: 0,
        limit_bytes: Small([0; 5]),
        limit_packets: Small([0; 4]),
        last: Small([0; 7]),
        mark: Small([0; 7]),
        seen_bytes: Small([0; 7]),
        unstored_bytes: Small([0; 7]),
        seen_packets: Small([0; 6]),
        unstored_packets: Small([0; 6]),
    };

    /// A connection that begins at `first` and has no packet yet.
    pub(super) fn new(key: K, first: u64, class: ClassId, flags: u16, phase: Phase) -> Entry<K> {
        let mut entry = Entry { key, first, class, flags, ..Entry::NONE };
        entry.set_phase(phase);
        entry
    }

    #[inline]
    pub(super) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    #[inline]
    pub(super) fn set(&mut self, flag: u16, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    /// Its class.
    #[inline]
    pub(super) fn class(&self) -> ClassId {
        self.class & CLASS
    }

    pub(super) fn set_class(&mut self, class: ClassId) {
        self.class = self.class & !CLASS | class & CLASS;
    }

    /// A SYN-ACK has said who began it.
    pub(super) fn accepted(&self) -> bool {
        self.class & ACCEPTED != 0
    }

    pub(super) fn set_accepted(&mut self) {
        self.class |= ACCEPTED;
    }

    /// An hourly receipt was made: the time of its first packet names it from now on.
    pub(super) fn set_told(&mut self) {
        self.class |= TOLD;
    }

    /// Where it lies, for prefetching.
    #[inline]
    pub(super) fn middle(&self) -> &u8 {
        &self.class
    }

    /// It has a packet of this time, which is before all that were known. One that it can't express, or that comes when its name is
    /// told, changes nothing.
    pub(super) fn antedate(&mut self, time: u64) {
        let by = self.first.saturating_sub(time);
        if self.class & TOLD != 0 || self.last.get().saturating_add(by) > AGE_MAX {
            return;
        }
        self.first = time;
        self.last.add(by);
        // A count that began with the connection does so still.
        if self.has(ENDED) || self.mark.get() > 0 {
            self.mark.add(by);
        }
    }

    /// Whose open connection it counts as: the side whose packet began the entry. True: endpoint 1.
    #[inline]
    pub(super) fn charged(&self) -> bool {
        self.has(FROM_ONE) != self.has(PROVISIONAL)
    }

    /// Unix time of the last packet, ns.
    #[inline]
    pub(super) fn last(&self) -> u64 {
        self.first.saturating_add(self.last.get())
    }

    /// Time of a connection never runs backwards: an earlier one changes nothing.
    #[inline]
    pub(super) fn advance(&mut self, time: u64) {
        self.last = Small::new(time.saturating_sub(self.first).max(self.last.get()));
    }

    /// When it ended, if [`ENDED`]; else when its present count began.
    #[inline]
    pub(super) fn mark(&self) -> u64 {
        self.first.saturating_add(self.mark.get())
    }

    #[inline]
    pub(super) fn set_mark(&mut self, time: u64) {
        self.mark = Small::new(time.saturating_sub(self.first));
    }

    /// Its present count is not its first.
    #[inline]
    pub(super) fn renewed(&self) -> bool {
        if self.has(ENDED) { self.has(ODD_HOUR) } else { self.mark.get() > 0 }
    }

    /// Its last packet has ended it.
    pub(super) fn set_ended(&mut self) {
        let renewed = self.renewed();
        self.set(ENDED, true);
        self.set(ODD_HOUR, renewed);
        self.mark = self.last;
    }

    /// Bytes and packets seen; what the kernel still counts is not in them.
    pub(super) fn seen(&self) -> (u64, u64) {
        (self.seen_bytes.get(), self.seen_packets.get())
    }

    #[inline]
    pub(super) fn phase(&self) -> Phase {
        if !self.has(PAST) {
            return Phase::Storing { bytes: self.limit_bytes.get(), packets: self.limit_packets.get() };
        }
        let [controls, retry @ ..] = self.limit_bytes.0;
        let slot = ShuntSlot(u32::from_le_bytes(self.limit_packets.0));
        Phase::Past { controls, retry: u32::from_le_bytes(retry), slot }
    }

    #[inline]
    pub(super) fn set_phase(&mut self, phase: Phase) {
        match phase {
            Phase::Storing { bytes, packets } => {
                self.set(PAST, false);
                (self.limit_bytes, self.limit_packets) = (Small::new(bytes), Small::new(packets));
            }
            Phase::Past { controls, retry, slot } => {
                self.set(PAST, true);
                let [a, b, c, d] = retry.to_le_bytes();
                self.limit_bytes = Small([controls, a, b, c, d]);
                self.limit_packets = Small(slot.0.to_le_bytes());
            }
        }
    }

    /// Its place in the shunt.
    #[inline]
    pub(super) fn shunted(&self) -> Option<ShuntSlot> {
        match self.phase() {
            Phase::Past { slot, .. } if self.has(SHUNTED) => Some(slot),
            _ => None,
        }
    }

    /// Its last byte, for prefetching.
    #[inline]
    pub(super) fn end(&self) -> &u8 {
        let Small([.., end]) = &self.unstored_packets;
        end
    }

    /// One packet more.
    #[inline]
    pub(super) fn count(&mut self, bytes: u64, stored: bool) {
        self.seen_bytes.add(bytes);
        self.seen_packets.add(1);
        if !stored {
            self.count_unstored(bytes);
        }
    }

    /// One of the packets seen was not stored.
    #[inline]
    pub(super) fn count_unstored(&mut self, bytes: u64) {
        self.unstored_bytes.add(bytes);
        self.unstored_packets.add(1);
    }

    /// What the kernel counted.
    pub(super) fn fold(&mut self, counts: ShuntCounts) {
        self.seen_bytes.add(counts.bytes);
        self.seen_packets.add(counts.packets);
        self.unstored_bytes.add(counts.bytes);
        self.unstored_packets.add(counts.packets);
        if counts.packets > 0 {
            self.advance(counts.last);
        }
    }

    /// What ended it, if [`ENDED`].
    pub(super) fn end_by_flags(&self) -> End {
        if self.has(FIN) && self.has(FIN << 1) { End::Closed } else { End::Reset }
    }

    /// Its receipt; what the kernel still counts is not in it.
    pub(super) fn receipt(&self, end: End) -> Receipt {
        let (seen_packets, seen_bytes) = (self.seen_packets.get(), self.seen_bytes.get());
        Receipt {
            key: self.key.name(),
            first: self.first,
            last: self.last(),
            seen_packets,
            seen_bytes,
            stored_packets: seen_packets.saturating_sub(self.unstored_packets.get()),
            stored_bytes: seen_bytes.saturating_sub(self.unstored_bytes.get()),
            end,
            class: self.class(),
            originator: u8::from(self.has(FROM_ONE)),
            cut: self.has(CUT),
        }
    }
}

impl Receipt {
    /// Adds what the kernel counted.
    pub(super) fn fold(&mut self, counts: ShuntCounts) {
        self.seen_packets = self.seen_packets.saturating_add(counts.packets);
        self.seen_bytes = self.seen_bytes.saturating_add(counts.bytes);
        if counts.packets > 0 {
            self.last = self.last.max(counts.last);
        }
    }
}
