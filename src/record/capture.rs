//! The two kinds of capture behind one face, for the control thread: files and interfaces. Owns what is left of a
//! capture after its sources went to the workers: counters, events, reports.

use crate::iface::NicCounters;
use crate::metrics::account::{SourceCounts, SourceKind};
use crate::source::file::{FileReport, Progress};
use crate::source::live::{Event, Live};
use std::sync::Arc;

/// A running capture.
pub enum Capture {
    /// Capture files.
    Files(Arc<Progress>),
    /// Interfaces.
    Live(Box<Live>),
}

impl Capture {
    /// Which first line of the sum law holds.
    pub fn kind(&self) -> SourceKind {
        match self {
            Capture::Files(_) => SourceKind::File,
            Capture::Live(live) => live.kind,
        }
    }

    /// The source's counters; what the kernel does not tell now is as it was.
    pub fn counts(&self, before: SourceCounts) -> SourceCounts {
        match self {
            Capture::Files(progress) => progress.counts(),
            Capture::Live(live) => live.account().unwrap_or_else(|e| {
                tracing::warn!("the kernel's counters cannot be read: {e}");
                before
            }),
        }
    }

    /// What the interfaces' own counters call lost before the source saw it, since the start: name, cause, packets.
    pub fn nic_lost(&self) -> Vec<(String, &'static str, u64)> {
        let Capture::Live(live) = self else { return Vec::new() };
        let causes = |(name, n): (String, NicCounters)| {
            [("rx_missed", n.rx_missed), ("rx_over", n.rx_over), ("rx_fifo", n.rx_fifo)]
                .map(|(cause, packets)| (name.clone(), cause, packets))
        };
        live.nic_losses().into_iter().flat_map(causes).collect()
    }

    /// What has changed since the last second.
    pub fn tick(&mut self) -> Vec<Event> {
        match self {
            Capture::Files(_) => Vec::new(),
            Capture::Live(live) => live.tick(),
        }
    }

    /// Bytes read and bytes in all, for files.
    pub fn progress(&self) -> Option<(u64, u64)> {
        match self {
            Capture::Files(progress) => Some(progress.read()),
            Capture::Live(_) => None,
        }
    }

    /// The files that are done.
    pub fn reports(&self) -> Vec<FileReport> {
        match self {
            Capture::Files(progress) => progress.reports(),
            Capture::Live(_) => Vec::new(),
        }
    }
}
