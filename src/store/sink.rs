//! Where the worker's step puts packets. Owns the trait; the store's writer is the real one, tests and benches have
//! others. No call blocks, allocates or touches the disk.

use crate::class::ClassId;
use crate::conn::verdict::Mark;
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
    fn append(&mut self, class: ClassId, packet: &Packet<'_>, interfaces: &[Interface], mark: Mark) -> Appended;
}

/// A sink with a disk behind it, as the worker's loop drives it. No call blocks, except [`finish`](Recorder::finish).
pub trait Recorder: Sink {
    /// Whether a whole batch surely fits; the loop lets patient sources wait for it.
    fn room(&self) -> bool;
    /// Closes blocks that are of age, submits writes, reaps completions. `mono_ns`: the monotonic clock.
    fn tick(&mut self, mono_ns: u64);
    /// What became of the packets appended so far; exact at any time.
    fn counts(&self) -> StoreCounts;
    /// Writes what is left, waits for it and hands the segments over for sealing.
    fn finish(&mut self);
}
