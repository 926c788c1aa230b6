//! Where the worker's step puts packets. Owns the trait; the store's writer is the real one, tests and benches have
//! others. No call blocks, allocates or touches the disk.

use super::format::PacketOptions;
use crate::class::ClassId;
use crate::metrics::account::StoreCounts;
use crate::source::{Interface, Packet};

/// What became of an appended packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// In the open block.
    Stored,
    /// No free block: the disk does not keep up. The caller counts it as `disk_stall`.
    Stalled,
}

/// Takes packets into blocks.
pub trait Sink {
    /// Copies one packet into the open block of its class and link type.
    fn append(
        &mut self,
        class: ClassId,
        packet: &Packet<'_>,
        interfaces: &[Interface],
        options: &PacketOptions,
    ) -> Appended;
}

/// What a writer tells of its memory and its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterStats {
    /// Blocks in all.
    pub blocks: u64,
    /// Of these, free.
    pub free: u64,
    /// Being filled.
    pub open: u64,
    /// Full, without a place on the disk yet.
    pub waiting: u64,
    /// At the disk.
    pub in_flight: u64,
    /// Bytes that the disk has taken since the start.
    pub written_bytes: u64,
    /// When the oldest block that is not durable was begun, monotonic ns; 0: there is none. A few ms behind.
    pub oldest_pending: u64,
}

crate::words!(WriterStats: blocks, free, open, waiting, in_flight, written_bytes, oldest_pending);

/// A sink with a disk behind it, as the worker's loop drives it. No call blocks, except [`finish`](Recorder::finish).
pub trait Recorder: Sink {
    /// Whether a whole batch surely fits; the loop lets patient sources wait for it.
    fn room(&self) -> bool;
    /// Closes blocks that are of age, submits writes, reaps completions. `mono_ns`: the monotonic clock.
    fn tick(&mut self, mono_ns: u64);
    /// The wall clock, Unix ns, before a tick: for the time from a packet's arrival to the disk. Not called for files.
    fn note_time(&mut self, _unix_ns: u64) {}
    /// What became of the packets appended so far; exact at any time.
    fn counts(&self) -> StoreCounts;
    /// Its memory and its disk.
    fn stats(&self) -> WriterStats {
        WriterStats::default()
    }
    /// Writes what is left, waits for it and hands the segments over for sealing.
    fn finish(&mut self);
}
