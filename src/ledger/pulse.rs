//! That something was written: counted by ledger and receipts after each write, looked at by what holds them in memory. Only
//! counters: whoever writes never waits for whoever reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Of one writer.
#[derive(Debug, Default)]
pub struct Pulse {
    writes: AtomicU64,
    alive: AtomicU64,
    recording: AtomicBool,
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

    /// This process records, or no longer does: while it does, its life is a sign of life.
    pub fn recording(&self, is: bool) {
        self.recording.store(is, Ordering::Release);
    }

    /// The last sign of life, Unix ns; 0: none yet.
    pub(super) fn alive(&self) -> u64 {
        let now = if self.recording.load(Ordering::Acquire) { crate::units::now() } else { 0 };
        now.max(self.alive.load(Ordering::Acquire))
    }
}
