//! The worker's view of the shunt: the kernel map of connections past their cutoff. Owns the trait and the shunt that
//! is none (files); the kernel's is `bpf::shunt`. Called by the tracker only; no call blocks.

use crate::packet::key::Key;

/// Totals of a shunted connection, counted by the kernel since its insert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShuntCounts {
    /// Packets dropped in the kernel.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Unix time of the last, ns; 0 if none yet.
    pub last: u64,
}

/// A place in the shunt, owned by one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShuntSlot(pub u32);

/// What a worker does with its part of the shunt. A connection retires in two steps: [`pass`](Shunt::pass), and at
/// least [`RETIRE_NS`] later [`remove`](Shunt::remove), which returns the final counts: no count is lost or lands on another.
pub trait Shunt {
    /// From now on the kernel drops this connection's packets. `None`: full, or the key is still retiring; then the worker
    /// goes on cutting itself. Never overwrites.
    fn insert(&mut self, key: &Key) -> Option<ShuntSlot>;
    /// From now on one packet in so many of a connection in the shunt goes up and is not counted there; 0: none does.
    fn sample(&mut self, slot: ShuntSlot, one_in: u32);
    /// Whether a packet of a connection in the shunt that came up is one of these: true for as many as the kernel has sent, whatever else comes up
    /// (fragments, what was in a ring when the connection went in).
    fn drawn(&mut self, slot: ShuntSlot) -> bool;
    /// Counts so far: a read of mapped memory.
    fn counts(&self, slot: ShuntSlot) -> ShuntCounts;
    /// Packets go up again from now on; a write of mapped memory.
    fn pass(&mut self, slot: ShuntSlot);
    /// Frees the place and returns the final counts; only after [`pass`](Shunt::pass).
    fn remove(&mut self, key: &Key, slot: ShuntSlot) -> ShuntCounts;
    /// Places in all; 0 where there is no shunt.
    fn capacity(&self) -> usize;
}

/// Time between the two steps of a retirement: any program that read the old state has long ended.
pub const RETIRE_NS: u64 = 1_000_000_000;

/// No shunt: the worker makes every cut.
#[derive(Debug, Default)]
pub struct NoShunt;

impl Shunt for NoShunt {
    fn insert(&mut self, _: &Key) -> Option<ShuntSlot> {
        None
    }
    fn sample(&mut self, _: ShuntSlot, _: u32) {}
    fn drawn(&mut self, _: ShuntSlot) -> bool {
        false
    }
    fn counts(&self, _: ShuntSlot) -> ShuntCounts {
        ShuntCounts::default()
    }
    fn pass(&mut self, _: ShuntSlot) {}
    fn remove(&mut self, _: &Key, _: ShuntSlot) -> ShuntCounts {
        ShuntCounts::default()
    }
    fn capacity(&self) -> usize {
        0
    }
}
