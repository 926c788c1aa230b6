//! The worker: one thread that takes packets from its source, decides on each, and puts what is kept into blocks.
//! [`step`] is the pure part that every source, bench and fuzzer drives; [`run`] is the loop around it. Called by
//! `record`; never blocks on the disk, locks, allocates or reads a clock per packet between start and stop.

pub mod dedup;
pub mod filter;
pub mod handoff;
pub mod mailbox;
pub mod receipts;
pub mod run;
pub mod step;

use crate::conn::TrackerStats;
use crate::metrics::account::StoreCounts;
use crate::store::sink::WriterStats;

/// What a worker tells of itself, once a batch; what it did with each packet is in its [tallies](crate::metrics::tallies).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// What became of what it stored.
    pub store: StoreCounts,
    /// Its blocks.
    pub writer: WriterStats,
    /// Its connection table.
    pub tracker: TrackerStats,
    /// Whom a flood comes from, an IPv6 address in two halves; 0: nobody is known.
    pub flood_source: [u64; 2],
    /// Newest packet time, Unix ns.
    pub newest: u64,
}

crate::words!(Counts: store, writer, tracker, flood_source, newest);
