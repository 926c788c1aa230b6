//! That something was written: counted by ledger and receipts after each write, looked at by what holds them in memory. Only
//! counters: whoever writes never waits for whoever reads.

use std::sync::atomic::{AtomicU64, Ordering};

/// Of one writer.
#[derive(Debug, Default)]
pub struct Pulse {
    writes: AtomicU64,
    alive: AtomicU64,
}

impl Pulse {
    /// Something has been written.
    pub(super) fn wrote(&self) {
        self.writes.fetch_add(1, Ordering::Release);
    }

    /// How often so far. To be asked before what was written is read.
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    /// The ledger: a sign of life.
    pub(super) fn beat(&self, t: u64) {
        self.alive.store(t, Ordering::Release);
    }

    /// The last one, Unix ns; 0: none yet.
    pub(super) fn alive(&self) -> u64 {
        self.alive.load(Ordering::Acquire)
    }
}
