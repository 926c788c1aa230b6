//! The two kinds of capture behind one face, for the control thread: files and interfaces. Owns what is left of a
//! capture after its sources went to the workers: counters, events, reports.

use crate::iface::NicCounters;
use crate::limits::SHUNT_SLOTS;
use crate::metrics::account::SourceKind;
use crate::record::RecordError;
use crate::record::detail::{NicLoss, Port};
use crate::source::file::{FileReport, Progress};
use crate::source::live::{Event, Live};
use std::sync::Arc;

type Reading = fn(&NicCounters) -> u64;
const NIC_CAUSES: [(&str, Reading); 3] =
    [("rx_missed", |n| n.rx_missed), ("rx_over", |n| n.rx_over), ("rx_fifo", |n| n.rx_fifo)];

/// A running capture.
pub enum CaptureSource {
    /// Capture files.
    Files(Arc<Progress>),
    /// Interfaces.
    Live(Box<Live>),
}

impl CaptureSource {
    /// Which first line of the sum law holds.
    pub fn kind(&self) -> SourceKind {
        match self {
            CaptureSource::Files(_) => SourceKind::File,
            CaptureSource::Live(live) => live.kind,
        }
    }

    /// Lets packets in; files give theirs to whoever asks.
    pub fn begin(&self) -> Result<(), RecordError> {
        match self {
            CaptureSource::Files(_) => Ok(()),
            CaptureSource::Live(live) => Ok(live.begin()?),
        }
    }

    /// The source's counters by interface and queue, without what the workers did; what the kernel does not tell now is as
    /// it was.
    pub fn ports(&self, before: &[Port]) -> Vec<Port> {
        let live = match self {
            CaptureSource::Files(progress) => return vec![Port { from: progress.counts(), ..Port::default() }],
            CaptureSource::Live(live) => live,
        };
        let counts = live.ports().unwrap_or_else(|e| {
            tracing::warn!("the kernel's counters cannot be read: {e}");
            before.iter().map(|p| p.from).collect()
        });
        let mut sizes = live.ring_sizes().into_iter();
        let names = live.port_names().into_iter();
        names
            .enumerate()
            .map(|(i, (interface, queue))| Port {
                interface,
                queue: queue.map(|q| q.to_string()).unwrap_or_default(),
                from: counts.get(i).copied().unwrap_or_default(),
                ring_size: sizes.next().unwrap_or(0),
                ..Port::default()
            })
            .collect()
    }

    /// How full the fullest ring is, as a part of 1.
    pub fn ring_fill(&self) -> f64 {
        match self {
            CaptureSource::Files(_) => 0.0,
            CaptureSource::Live(live) => live.ring_fill(),
        }
    }

    /// What the interfaces' own counters call lost before the source saw it, since the start. An interface that was gone
    /// and came back counts from 0: what was there before stays, as `before` has it.
    pub fn nic_lost(&mut self, before: &[NicLoss]) -> Vec<NicLoss> {
        let CaptureSource::Live(live) = self else { return Vec::new() };
        let mut now = live.nic_losses();
        let mut all = Vec::new();
        for (interface, _) in live.links() {
            let n = now.iter().position(|(name, _)| *name == interface).map(|i| now.swap_remove(i).1);
            for (cause, of) in NIC_CAUSES {
                let same = |l: &&NicLoss| l.interface == interface && l.cause == cause;
                let was = before.iter().find(same).map_or((0, 0), |l| (l.packets, l.reading));
                let reading = n.as_ref().map_or(was.1, of);
                let more = if reading >= was.1 { reading - was.1 } else { reading };
                all.push(NicLoss { interface: interface.clone(), cause, packets: was.0 + more, reading });
            }
        }
        all
    }

    /// Interfaces and whether they have a link.
    pub fn links(&self) -> Vec<(String, bool)> {
        match self {
            CaptureSource::Files(_) => Vec::new(),
            CaptureSource::Live(live) => live.links(),
        }
    }

    /// Places of the shunt.
    pub fn shunt_slots(&self) -> u64 {
        match self {
            CaptureSource::Files(_) => 0,
            CaptureSource::Live(_) => u64::from(SHUNT_SLOTS),
        }
    }

    /// What has changed since the last second.
    pub fn tick(&mut self) -> Vec<Event> {
        match self {
            CaptureSource::Files(_) => Vec::new(),
            CaptureSource::Live(live) => live.tick(),
        }
    }

    /// Bytes read and bytes in all, for files.
    pub fn progress(&self) -> Option<(u64, u64)> {
        match self {
            CaptureSource::Files(progress) => Some(progress.read()),
            CaptureSource::Live(_) => None,
        }
    }

    /// The files that are done.
    pub fn reports(&self) -> Vec<FileReport> {
        match self {
            CaptureSource::Files(progress) => progress.reports(),
            CaptureSource::Live(_) => Vec::new(),
        }
    }
}
