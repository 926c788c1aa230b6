//! The kernel's counters, summed over CPUs. Read by the control thread; a reading is not a moment, but at rest it is
//! exact.

use super::Error;
use super::abi::{RawCounts, RawRedirectFailed, queue_index};
use super::map::Map;
use crate::metrics::account::{RedirectFailed, SourceCounts, Tally};
use std::os::fd::{AsFd, BorrowedFd};

/// The counters of one loaded program.
#[derive(Debug)]
pub struct Counters {
    counts: Map<u32, RawCounts>,
    failed: Option<Map<u32, RawRedirectFailed>>,
    cpus: usize,
}

impl Counters {
    pub(super) fn new(counts: Map<u32, RawCounts>, failed: Option<Map<u32, RawRedirectFailed>>) -> Result<Self, Error> {
        let cpus = libbpf_rs::num_possible_cpus()
            .map_err(|e| Error::Map { map: "counts", source: std::io::Error::other(e) })?;
        Ok(Counters { counts, failed, cpus })
    }

    /// The map `counts`.
    pub(super) fn map(&self) -> BorrowedFd<'_> {
        self.counts.as_fd()
    }

    /// True if redirect failures are counted by the tracepoint.
    pub fn counts_failures(&self) -> bool {
        self.failed.is_some()
    }

    /// What was counted for a queue of interface slot `iface` (the socket filter counts all on queue 0). `in_ring` and
    /// `lost` are not the kernel program's to know and stay 0.
    pub fn read(&self, iface: usize, queue: u32) -> Result<SourceCounts, Error> {
        let key = queue_index(iface, queue);
        let mut per_cpu = vec![RawCounts::default(); self.cpus];
        self.counts.lookup_percpu(&key, &mut per_cpu).map_err(|source| Error::Map { map: "counts", source })?;
        let mut sum = SourceCounts::default();
        for c in &per_cpu {
            let tally = |packets, bytes| Tally { packets, bytes };
            sum += SourceCounts {
                seen: tally(c.seen, c.seen_bytes),
                shunted: tally(c.shunted, c.shunted_bytes),
                redirected: tally(c.redirected, c.redirected_bytes),
                passed: tally(c.passed, c.passed_bytes),
                not_understood: c.not_understood,
                ..SourceCounts::default()
            };
        }
        if let Some(failed) = &self.failed {
            let mut per_cpu = vec![RawRedirectFailed::default(); self.cpus];
            failed.lookup_percpu(&key, &mut per_cpu).map_err(|source| Error::Map { map: "redirect_failed", source })?;
            for f in &per_cpu {
                sum.redirect_failed += RedirectFailed {
                    ring_full: f.ring_full,
                    no_frame: f.no_frame,
                    too_big: f.too_big,
                    unbound: f.unbound,
                };
            }
        }
        Ok(sum)
    }
}
